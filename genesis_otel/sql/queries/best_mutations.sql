-- Most successful mutations
--
-- The edits that gained most, and what they changed.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 10: how many
SELECT child_id, parent_id, generation, mutation_type, fitness_delta, edit_summary
FROM code_lineages
WHERE run_id = {run_id:String} AND fitness_delta > 0
ORDER BY fitness_delta DESC, generation
LIMIT {limit:UInt32}
