"""A search with Genesis."""
