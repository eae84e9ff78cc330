-- Mutation success rate
--
-- How often each kind of mutation is better than its parent, and by how much in the mean.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    mutation_type,
    count() AS total,
    countIf(fitness_delta > 0) AS improvements,
    countIf(fitness_delta > 0) / count() AS success_rate,
    avg(fitness_delta) AS avg_delta
FROM code_lineages
WHERE run_id = {run_id:String} AND generation > 0
GROUP BY mutation_type
ORDER BY success_rate DESC, mutation_type
