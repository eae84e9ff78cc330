-- Breakthrough generations
--
-- How much the individuals of each generation were better than all that had finished before, largest first.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT generation, best_score, improvement
FROM (@steps(run_id = {run_id:String}))
ORDER BY improvement DESC, generation
