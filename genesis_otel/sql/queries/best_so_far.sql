-- Best so far
--
-- The best score among each generation's individuals, its gain over everything that had finished before, and the best score the search had
-- found by then: shows whether the search is still improving.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT generation, best_score, improvement, best_so_far
FROM (@steps(run_id = {run_id:String}))
ORDER BY generation
