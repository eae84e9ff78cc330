-- The number of generations of each run that are recorded. Callers of the first logger may record none, but tell their number at the
-- run's end: for what is shown see `numbered`.
--
-- runs: which, a condition on run_id
SELECT run_id, uniqExact(generation) AS recorded
FROM generations
WHERE @runs
GROUP BY run_id
