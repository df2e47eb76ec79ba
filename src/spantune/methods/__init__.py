"""How an encoder is fine-tuned: one registry, a method a file."""

from spantune.methods.registry import Method, Unfreeze, get, methods

__all__ = ["Method", "Unfreeze", "get", "methods"]
