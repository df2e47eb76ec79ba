"""Trackers show runs and studies elsewhere while they go on. Their folders are complete without them."""
