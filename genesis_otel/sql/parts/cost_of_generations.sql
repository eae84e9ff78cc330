-- What a run paid in each generation in USD, and how many of the calls there have no price; what it paid outside of generations has none.
--
-- run: which, a condition on run_id that selects one
SELECT generation, sum(cost) AS cost, sum(unpriced) AS unpriced
FROM (@spent(@run))
GROUP BY generation
