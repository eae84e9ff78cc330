-- Evolution progress
--
-- Each generation's statistics beside the members of the front that its individuals say they are.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    g.generation AS generation,
    g.best_score AS best_score,
    g.avg_score AS avg_score,
    g.pareto_size AS pareto_size,
    g.total_cost AS total_cost,
    countIf(i.is_pareto) AS pareto_actual
FROM generations AS g
LEFT JOIN individuals AS i ON g.run_id = i.run_id AND g.generation = i.generation
WHERE g.run_id = {run_id:String}
GROUP BY g.generation, g.best_score, g.avg_score, g.pareto_size, g.total_cost
ORDER BY g.generation
