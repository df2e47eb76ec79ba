"""Questions on a document of your own."""
