"""GEPA's searches: what is known of one, its calls of models, and what is kept beside its state."""
