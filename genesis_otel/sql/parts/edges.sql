-- Edges from parents to children, each once: see `edges_of`. Copies do not count as children.
--
-- runs: which, a condition on run_id
@edges_of(@runs, NOT @copied())
