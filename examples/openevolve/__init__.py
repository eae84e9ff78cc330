"""A search with OpenEvolve."""
