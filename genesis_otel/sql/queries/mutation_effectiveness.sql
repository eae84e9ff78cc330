-- Mutation type effectiveness
--
-- The scores that each kind of mutation leads to, without the initial population.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    mutation_type,
    count() AS count,
    avg(fitness_score) AS avg_fitness,
    quantile(0.5)(fitness_score) AS median_fitness,
    quantile(0.9)(fitness_score) AS p90_fitness,
    max(fitness_score) AS max_fitness,
    countIf(status != 'ok') AS failed
FROM individuals
WHERE run_id = {run_id:String} AND generation > 0
GROUP BY mutation_type
ORDER BY avg_fitness DESC
