"""Tables of runs and studies, and how numbers are written."""
