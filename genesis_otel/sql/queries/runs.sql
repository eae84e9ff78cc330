-- Runs
--
-- Runs, newest first: how far each is, its best score in its own direction, how many individuals failed or are incorrect, what it cost in
-- USD, how many of its calls have no price, and for how many seconds it has been silent. Generations are those recorded, or the number that
-- the run reported at its end: callers of the first logger may report nothing more.
--
-- task = : only runs of this task
-- status = : only running, stalled, completed, stopped or failed; open for running and stalled
-- tag = : only runs with this tag
-- limit = 20: maximum number of rows
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
-- alive = []: runs that are not stalled, as their process is alive
WITH (
    SELECT groupArray((run_id, task_name, status, start_time, last_seen, silent_seconds, error, total_generations))
    FROM (
        SELECT run_id, task_name, status, start_time, last_seen, silent_seconds, error, total_generations
        FROM (@state(1, {stalled_after:UInt32}, {alive:Array(String)}))
        WHERE ({task:String} = '' OR task_name = {task:String})
            AND ({status:String} = '' OR status = {status:String} OR ({status:String} = 'open' AND open))
            AND ({tag:String} = '' OR run_id IN (SELECT run_id FROM (@tags(1)) WHERE has(tags, {tag:String})))
        ORDER BY start_time DESC, run_id
        LIMIT {limit:UInt32}
    )
) AS picked
SELECT
    p.run_id AS run_id,
    p.task_name AS task_name,
    p.status AS status,
    p.start_time AS start_time,
    @numbered(g.recorded, p.told) AS generations,
    f.individuals AS individuals,
    f.failed AS failed,
    f.incorrect AS incorrect,
    f.best_score AS best_score,
    f.best_individual AS best_individual,
    f.since_improvement AS since_improvement,
    c.cost AS cost,
    c.unpriced AS unpriced,
    p.last_seen AS last_seen,
    p.silent_seconds AS silent_seconds,
    p.error AS error,
    t.tags AS tags,
    t.notes AS notes
FROM (
    SELECT run.1 AS run_id, run.2 AS task_name, run.3 AS status, run.4 AS start_time, run.5 AS last_seen, run.6 AS silent_seconds, run.7 AS error, run.8 AS told
    FROM (SELECT arrayJoin(picked) AS run)
) AS p
LEFT JOIN (@counted(run_id IN picked.1)) AS g ON g.run_id = p.run_id
LEFT JOIN (@found(run_id IN picked.1)) AS f ON f.run_id = p.run_id
LEFT JOIN (@cost(run_id IN picked.1)) AS c ON c.run_id = p.run_id
LEFT JOIN (@tags(run_id IN picked.1)) AS t ON t.run_id = p.run_id
ORDER BY start_time DESC, run_id
