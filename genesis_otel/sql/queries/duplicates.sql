-- Duplicates
--
-- Programs that were proposed more than once: their hash, how often, and where first. A migrant does not count as a proposal.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT code_hash, count() AS count, argMin(individual_id, timestamp) AS first_individual
FROM (@programs(run_id = {run_id:String}))
WHERE code_hash != '' AND NOT copied
GROUP BY code_hash
HAVING count > 1
ORDER BY count DESC, code_hash
