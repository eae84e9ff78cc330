-- When individuals arrived in the store: for one that arrived more than once, the last time.
--
-- runs: which, a condition on individuals
SELECT individual_id, max(ingested_at) AS ingested
FROM individuals
WHERE @runs
GROUP BY individual_id
