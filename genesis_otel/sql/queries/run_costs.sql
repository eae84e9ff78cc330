-- Total costs by run
--
-- What each run's generations cost in USD, dearest first.
--
SELECT
    run_id,
    task_name,
    sum(total_cost) AS total_evolution_cost,
    count(DISTINCT generation) AS generations
FROM generations
GROUP BY run_id, task_name
ORDER BY total_evolution_cost DESC
