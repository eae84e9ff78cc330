-- Total cost by run
--
-- What each run cost in USD, most expensive first, and how many of its calls have no price.
--
SELECT
    c.run_id AS run_id,
    r.task_name AS task_name,
    c.paid AS total_evolution_cost,
    @numbered(c.number, r.total_generations) AS generations,
    c.without_price AS unpriced
FROM (
    SELECT run_id, sum(cost) AS paid, sum(unpriced) AS without_price, max(recorded) AS number
    FROM (
        SELECT run_id, cost, unpriced, toUInt64(0) AS recorded FROM (@cost(run_id != ''))
        UNION ALL
        SELECT run_id, 0., 0, recorded FROM (@counted(run_id != ''))
        UNION ALL
        SELECT run_id, 0., 0, 0 FROM evolution_runs_log WHERE run_id != ''
    )
    GROUP BY run_id
) AS c
LEFT JOIN (@folded()) AS r ON r.run_id = c.run_id
ORDER BY total_evolution_cost DESC, run_id
