-- Best so far
--
-- The best score of each generation's individuals, and the best that the search had found by then: where it still rises.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    generation,
    max(fitness_score) AS best_score,
    max(best_score) OVER (ORDER BY generation ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS best_so_far
FROM individuals
WHERE run_id = {run_id:String} AND status = 'ok' AND isFinite(fitness_score)
GROUP BY generation
ORDER BY generation
