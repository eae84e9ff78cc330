-- What each run has found, one row per run; for the columns see `finding`.
--
-- runs: which, a condition on run_id
SELECT run_id, @finding()
FROM (@climb(@runs))
GROUP BY run_id
