-- Phylogenetic tree
--
-- Every edge from a parent to its child, each once, oldest first.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT child_id, parent_id, generation, mutation_type, fitness_delta
FROM (
    SELECT *
    FROM code_lineages
    WHERE run_id = {run_id:String}
    ORDER BY timestamp DESC
    LIMIT 1 BY child_id, parent_id
)
ORDER BY generation, timestamp, child_id, position
