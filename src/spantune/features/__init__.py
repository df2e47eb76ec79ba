"""Examples to windows to batches."""

from spantune.features.windows import WindowRules, Windows, make_windows, window_rules

__all__ = ["WindowRules", "Windows", "make_windows", "window_rules"]
