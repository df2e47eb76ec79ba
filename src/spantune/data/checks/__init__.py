"""Checks of raw rows: what is wrong with them, what can be repaired, and what the doctor says."""
