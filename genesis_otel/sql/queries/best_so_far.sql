-- Best so far
--
-- The best score of each generation's individuals, what it gained over all that had finished before, and the best that the
-- search had found by then: where it still gets better.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT generation, best_score, improvement, best_so_far
FROM (@steps(run_id = {run_id:String}))
ORDER BY generation
