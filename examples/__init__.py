"""Searches that are recorded, a folder each."""
