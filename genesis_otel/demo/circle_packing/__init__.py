"""The demo's problem: a program to start from, and its evaluator."""
