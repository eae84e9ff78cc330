-- Top individuals
--
-- The best programs of a run, over all generations.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 10: how many
SELECT individual_id, generation, fitness_score, combined_score, mutation_type, metrics
FROM individuals
WHERE run_id = {run_id:String} AND status = 'ok'
ORDER BY fitness_score DESC, generation, timestamp
LIMIT {limit:UInt32}
