"""The questions of a study with the answers of every method."""
