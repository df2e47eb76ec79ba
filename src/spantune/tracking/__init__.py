"""Trackers show runs and studies elsewhere while they run. Their folders are complete without them."""
