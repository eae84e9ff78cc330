-- Mutation success rate
--
-- How often each kind of mutation is better than its parent, of all that were tried, and by how much in the mean where that
-- is known.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    mutation_type,
    count() AS total,
    countIf(gain > 0) AS improvements,
    countIf(gain > 0) / count() AS success_rate,
    avg(fitness_delta) AS avg_delta,
    avg(gain) AS avg_gain
FROM (@edges(run_id = {run_id:String}))
WHERE generation > 0
GROUP BY mutation_type
ORDER BY success_rate DESC, mutation_type
