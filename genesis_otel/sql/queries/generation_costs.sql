-- Cost per generation
--
-- What each generation cost, in all and an individual, in USD.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    generation,
    total_cost,
    if(num_individuals = 0, 0, total_cost / num_individuals) AS cost_per_individual
FROM generations
WHERE run_id = {run_id:String}
ORDER BY generation
