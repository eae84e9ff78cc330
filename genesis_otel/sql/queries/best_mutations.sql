-- Most successful mutations
--
-- The edits that gained most, and what they changed. A gain counts in the direction of the run.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 10: how many
SELECT child_id, parent_id, generation, mutation_type, fitness_delta, edit_summary
FROM (@edges(run_id = {run_id:String}))
WHERE gain > 0
ORDER BY gain DESC, generation, child_id
LIMIT {limit:UInt32}
