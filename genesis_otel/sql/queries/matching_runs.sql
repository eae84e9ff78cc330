-- Runs by part of their id, or by task
--
-- Runs by how closely their id matches a text: ids that start with it first (`begun` of them), then runs whose task has this name, newest
-- first, or the other way round if several ids start with it: runs are often named after their task. With an empty text the newest, and with
-- latest as well, after a run of that id. A run whose start was not recorded is known by its generations and individuals.
--
-- run = : text to match
-- limit = 5: maximum number of rows
WITH {run:String} IN ('', 'latest') AS newest
SELECT run_id, run_id = {run:String} AS is_it, NOT newest AND startsWith(run_id, {run:String}) AS begins, of_task, countIf(begins) OVER () AS begun
FROM (
    SELECT run_id, min(seen) AS seen, NOT newest AND max(task = {run:String}) AS of_task
    FROM (
        SELECT run_id, start_time AS seen, task_name AS task FROM (@folded())
        UNION ALL
        SELECT run_id, min(timestamp) AS seen, '' AS task FROM generations GROUP BY run_id
        UNION ALL
        SELECT run_id, min(timestamp) AS seen, '' AS task FROM individuals GROUP BY run_id
    )
    WHERE run_id != ''
    GROUP BY run_id
)
ORDER BY
    is_it DESC,
    begun > 1 AND of_task DESC,
    begins AND NOT (begun > 1 AND of_task) DESC,
    of_task DESC,
    if(newest OR of_task, 0, ngramDistanceCaseInsensitive(run_id, {run:String})),
    seen DESC,
    run_id
LIMIT {limit:UInt32}
