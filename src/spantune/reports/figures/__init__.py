"""Figures of runs, studies and scores. matplotlib is imported when the first figure is made."""
