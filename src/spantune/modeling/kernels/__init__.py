"""What is only speed: the same numbers, sooner."""
