"""Readers: one for each kind of file and source. Each yields raw rows, before any check."""
