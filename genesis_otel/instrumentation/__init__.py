"""Records frameworks' searches without changes to them: one module per framework."""
