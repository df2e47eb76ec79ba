"""Examples to windows to batches."""

from spantune.features.windows import StreamedWindows, WindowRules, Windows, make_windows, window_rules

__all__ = ["StreamedWindows", "WindowRules", "Windows", "make_windows", "window_rules"]
