"""The demo's problem: an initial program, and its evaluator."""
