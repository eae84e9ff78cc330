-- Top individuals
--
-- The best programs of a run, over all generations.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 10: maximum number of rows
SELECT individual_id, generation, fitness_score, combined_score, mutation_type, metrics
FROM (@climb(run_id = {run_id:String}))
WHERE height IS NOT NULL
ORDER BY height DESC, place
LIMIT {limit:UInt32}
