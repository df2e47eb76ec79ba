"""Faster versions of the same computations."""
