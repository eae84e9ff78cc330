-- What a run paid for each individual in USD, and how many of its calls have no price; what it paid outside of individuals has an empty id.
--
-- run: which, a condition on run_id that selects one
SELECT individual_id, sum(cost) AS cost, sum(unpriced) AS unpriced
FROM (@spent(@run))
GROUP BY individual_id
