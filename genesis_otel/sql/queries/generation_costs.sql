-- Cost per generation
--
-- What each generation cost in total and per individual, in USD, and how many of its calls have no price; the last row, without a
-- generation, is the cost that belongs to no generation.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    c.generation AS generation,
    c.cost AS total_cost,
    if(s.individuals > 0, c.cost / s.individuals, NULL) AS cost_per_individual,
    c.unpriced AS unpriced
FROM (@cost_of_generations(run_id = {run_id:String})) AS c
LEFT JOIN (@steps(run_id = {run_id:String})) AS s ON s.generation = c.generation
ORDER BY generation NULLS LAST
