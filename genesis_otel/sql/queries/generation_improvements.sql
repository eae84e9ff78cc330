-- Breakthrough generations
--
-- By how much the individuals of each generation beat all that had finished before, largest first.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT generation, best_score, improvement
FROM (@steps(run_id = {run_id:String}))
ORDER BY improvement DESC, generation
