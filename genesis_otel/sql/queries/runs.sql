-- Runs
--
-- Runs, newest first: how far each is, its best score, what it cost in USD, and for how many seconds it has been silent.
-- The cost is the largest of what its LLM calls, its individuals and its generations add up to: each may be the one that
-- was recorded, and the calls are there first.
--
-- task = : runs of this task alone
-- status = : running, completed or failed alone
-- limit = 20: how many
WITH picked AS (
    SELECT run_id, task_name, status, start_time, end_time
    FROM evolution_runs
    WHERE ({task:String} = '' OR task_name = {task:String}) AND ({status:String} = '' OR status = {status:String})
    ORDER BY start_time DESC, run_id
    LIMIT {limit:UInt32}
)
SELECT
    p.run_id AS run_id,
    p.task_name AS task_name,
    p.status AS status,
    p.start_time AS start_time,
    g.generations AS generations,
    i.individuals AS individuals,
    i.best AS best_score,
    greatest(g.cost, i.cost, l.cost) AS cost,
    greatest(p.start_time, p.end_time, g.seen, i.seen, l.seen, a.seen) AS last_seen,
    greatest(0, dateDiff('millisecond', last_seen, now64(3))) / 1000 AS silent_seconds
FROM picked AS p
LEFT JOIN (
    SELECT run_id, uniqExact(generation) AS generations, sum(total_cost) AS cost, max(timestamp) AS seen
    FROM generations
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS g ON g.run_id = p.run_id
LEFT JOIN (
    SELECT
        run_id,
        uniqExact(individual_id) AS individuals,
        maxOrNullIf(fitness_score, status = 'ok' AND isFinite(fitness_score)) AS best,
        sum(api_cost + embed_cost + novelty_cost) AS cost,
        max(timestamp) AS seen
    FROM individuals
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS i ON i.run_id = p.run_id
LEFT JOIN (
    SELECT run_id, sum(cost) AS cost, max(timestamp) AS seen
    FROM llm_logs
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS l ON l.run_id = p.run_id
LEFT JOIN (
    SELECT run_id, max(timestamp) AS seen
    FROM agent_actions
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS a ON a.run_id = p.run_id
ORDER BY start_time DESC, run_id
