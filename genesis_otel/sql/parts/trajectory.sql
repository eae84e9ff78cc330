-- A run's generations: their best and mean score, the size of the front and the cost. NULL if a generation has no score.
--
-- runs: which run, a condition on run_id that only one fulfils
SELECT
    g.generation AS generation,
    if(s.individuals > 0, s.best_score, g.told_best) AS best_score,
    if(s.individuals > 0, s.avg_score, g.told_avg) AS avg_score,
    g.pareto_size AS pareto_size,
    c.cost AS total_cost,
    c.unpriced AS unpriced
FROM (
    SELECT
        generation, argMax(best_score, timestamp) AS told_best, argMax(avg_score, timestamp) AS told_avg,
        argMax(pareto_size, timestamp) AS pareto_size
    FROM generations
    WHERE @runs
    GROUP BY generation
) AS g
LEFT JOIN (@steps(@runs)) AS s ON s.generation = g.generation
LEFT JOIN (@cost_of_generations(@runs)) AS c ON c.generation = g.generation
