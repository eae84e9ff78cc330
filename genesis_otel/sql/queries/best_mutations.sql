-- Most successful mutations
--
-- The edits with the largest gains, and what they changed. A gain is measured in the run's direction.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 10: maximum number of rows
SELECT child_id, parent_id, generation, mutation_type, fitness_delta, edit_summary
FROM (@edges(run_id = {run_id:String}))
WHERE gain > 0
ORDER BY gain DESC, generation, child_id
LIMIT {limit:UInt32}
