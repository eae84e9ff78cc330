"""A search with GEPA."""
