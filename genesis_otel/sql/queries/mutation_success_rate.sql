-- Mutation success rate
--
-- How often each mutation type beats its parent, out of all attempts, and the mean gain where it is known.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
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
