"""How an encoder is fine-tuned: one registry, a method a file."""

from spantune.methods.registry import Bottleneck, Method, Unfreeze, get, methods

__all__ = ["Bottleneck", "Method", "Unfreeze", "get", "methods"]
