-- Phylogenetic tree
--
-- Every edge from a parent to its child, oldest first.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT child_id, parent_id, generation, mutation_type, fitness_delta
FROM code_lineages
WHERE run_id = {run_id:String}
ORDER BY generation, timestamp, child_id, position
