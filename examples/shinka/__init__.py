"""A search with ShinkaEvolve."""
