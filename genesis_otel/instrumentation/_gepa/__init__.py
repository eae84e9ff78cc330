"""GEPA's searches: what is known of a search, its LLM calls, and what is kept beside its state."""
