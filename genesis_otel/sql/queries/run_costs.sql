-- Total cost by run
--
-- What each run cost in USD, most expensive first, and how many of its calls have no price.
--
SELECT
    c.run_id AS run_id,
    r.task_name AS task_name,
    c.cost AS total_evolution_cost,
    g.generations AS generations,
    c.unpriced AS unpriced
FROM (@cost(run_id != '')) AS c
LEFT JOIN (@folded()) AS r ON r.run_id = c.run_id
LEFT JOIN (@counted(run_id != '')) AS g ON g.run_id = c.run_id
ORDER BY total_evolution_cost DESC, run_id
