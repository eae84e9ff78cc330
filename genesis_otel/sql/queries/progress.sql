-- Evolution progress
--
-- Each generation's statistics next to the members of the front recorded for it.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    g.generation AS generation,
    g.best_score AS best_score,
    g.avg_score AS avg_score,
    g.pareto_size AS pareto_size,
    g.total_cost AS total_cost,
    g.unpriced AS unpriced,
    f.members AS pareto_actual
FROM (@trajectory(run_id = {run_id:String})) AS g
LEFT JOIN (
    SELECT generation, count() AS members
    FROM (@front(run_id = {run_id:String}))
    GROUP BY generation
) AS f ON f.generation = g.generation
ORDER BY generation
