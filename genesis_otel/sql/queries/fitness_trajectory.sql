-- Fitness trajectory
--
-- Best and mean score, size of the front and cost, one row per generation: shows whether the search is still improving. A generation without
-- a score has none.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT generation, best_score, avg_score, pareto_size, total_cost, unpriced
FROM (@trajectory(run_id = {run_id:String}))
ORDER BY generation
