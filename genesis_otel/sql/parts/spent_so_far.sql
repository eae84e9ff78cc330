-- What runs had spent in USD by each moment in which they spent anything, in or outside of generations.
--
-- runs: which, a condition on run_id
SELECT run_id, timestamp, max(so_far) AS so_far
FROM (SELECT run_id, timestamp, sum(cost) OVER (PARTITION BY run_id ORDER BY timestamp) AS so_far FROM (@spent(@runs)))
GROUP BY run_id, timestamp
