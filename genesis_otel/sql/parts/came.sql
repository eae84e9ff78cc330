-- When the store took in individuals: of one that came more than once, the last time.
--
-- runs: which, a condition on individuals
SELECT individual_id, max(ingested_at) AS ingested
FROM individuals
WHERE @runs
GROUP BY individual_id
