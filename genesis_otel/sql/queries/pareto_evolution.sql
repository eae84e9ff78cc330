-- Pareto front over time
--
-- Size and range of the front, one row per generation.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    generation,
    count() AS pareto_size,
    max(fitness_score) AS max_fitness,
    min(combined_score) AS min_combined,
    if((SELECT any(direction) FROM evolution_runs WHERE run_id = {run_id:String}) = 'min', min(fitness_score), max(fitness_score)) AS best_fitness
FROM (@front(run_id = {run_id:String}))
GROUP BY generation
ORDER BY generation
