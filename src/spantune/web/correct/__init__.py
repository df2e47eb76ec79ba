"""Corrections: a person marks the right span, and the corrected questions become training data."""
