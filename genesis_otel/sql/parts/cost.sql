-- The cost of each run in USD, and how many of its calls have no price.
--
-- runs: which, a condition on run_id
SELECT run_id, sum(called_there + own_there + rest_there) AS cost, sum(unpriced_there) AS unpriced
FROM (@paid(@runs))
GROUP BY run_id
