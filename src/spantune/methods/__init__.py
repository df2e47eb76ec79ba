"""How an encoder is fine-tuned: one registry, a method a file."""

from spantune.methods.head_only import PLAIN
from spantune.methods.registry import Bottleneck, Method, Unfreeze, get, methods

__all__ = ["PLAIN", "Bottleneck", "Method", "Unfreeze", "get", "methods"]
