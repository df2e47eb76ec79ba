"""The page that asks all models one question."""
