"""Searches of frameworks, recorded without a change in them: a module each."""
