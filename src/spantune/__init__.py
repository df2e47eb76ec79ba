"""spantune: parameter-efficient fine-tuning of encoders for extractive question answering, compared fairly."""

__version__ = "0.1.0"
