-- The cost of each run in USD, and how many of its calls have no price.
--
-- runs: which, a condition on run_id
SELECT run_id, sum(cost) AS cost, sum(unpriced) AS unpriced
FROM (@spent(@runs))
GROUP BY run_id
