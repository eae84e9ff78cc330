-- The current state of runs: a run that is `running` but has given no sign of life for `stalled_after` seconds is `stalled`, unless its
-- process is known to be alive, which only the machine that it runs on can tell. For its signs of life see `signs`; for a run
-- that ended, the last one is its end. `seconds` is NULL if only one time of a run that ended is known, or if its start is of another clock.
--
-- runs: which, a condition on run_id
-- stalled_after: seconds
-- alive: an array of the ids of runs whose process is alive
SELECT
    r.run_id AS run_id, task_name, start_time, end_time, config, direction, objectives, error, budget, total_generations, population_size, cluster_type,
    database_path, trace_id,
    told_status = 'running' AS open,
    greatest(start_time, end_time, seen) AS last_seen,
    greatest(0, dateDiff('millisecond', last_seen, now64(3))) / 1000 AS silent_seconds,
    if(open AND silent_seconds >= @stalled_after AND NOT has(@alive, run_id), 'stalled', told_status) AS status,
    if(status = 'running' OR last_seen > start_time, @lasted(start_time, if(status = 'running', greatest(start_time, now64(3)), last_seen)), NULL) AS seconds
FROM (SELECT *, status AS told_status FROM (@folded()) WHERE @runs) AS r
LEFT JOIN (
    SELECT run_id, max(at) AS seen
    FROM (@signs())
    WHERE run_id IN (
        SELECT log.run_id FROM evolution_runs_log AS log WHERE @runs GROUP BY log.run_id HAVING @told_status() = 'running'
    )
    GROUP BY run_id
) AS s ON s.run_id = r.run_id
