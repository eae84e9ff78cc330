"""A loop of your own."""
