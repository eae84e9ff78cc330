-- How fast each run spends, one row per run. `burn` is the cost of the last hour in USD per hour: up to now for a running search, up to
-- the last sign of life for any other. `projected` is the total cost if each remaining generation costs as much as those so far, and
-- `seconds_left` the remaining time if each takes as long as those since the search last began (`began`): of a resumed one neither the time
-- before nor the pause counts, and it may do generations again. Both are known if the configuration gives the number of generations and at
-- least one is done, for the time since then. `allowed` is the budget, and `budget_seconds` how long it will last at the current burn.
--
-- runs: which, a condition on run_id
-- stalled_after: seconds
-- alive: an array of the ids of runs whose process is alive
-- otherwise: the budget in USD, or NULL, for runs without their own
SELECT
    this_run AS run_id, task_name, open, status, cost, unpriced,
    of_late / least(3600, greatest(1, ifNull(seconds, 3600))) * 3600 AS burn,
    planned, done,
    multiIf(NOT open, cost, planned > 0 AND done > 0, cost / done * greatest(planned, done), NULL) AS projected,
    if(open AND planned > 0 AND made > 0, @lasted(began, until) / made * greatest(0, planned - reached), NULL) AS seconds_left,
    ifNull(budget, @otherwise) AS allowed,
    @share(cost, allowed) AS share,
    if(open AND burn > 0 AND allowed IS NOT NULL, greatest(0, assumeNotNull(allowed) - cost) / burn * 3600, NULL) AS budget_seconds
FROM (
    SELECT
        s.run_id AS this_run, any(s.task_name) AS task_name, any(s.open) AS open, any(s.status) AS status, any(s.seconds) AS seconds,
        any(s.until) AS until, any(s.planned) AS planned, any(s.budget) AS budget,
        any(f.done) AS done, any(f.began) AS began, any(f.reached) AS reached, any(f.made) AS made,
        sum(c.cost) AS cost, sum(c.unpriced) AS unpriced, sumIf(c.cost, c.timestamp > s.until - INTERVAL 1 HOUR) AS of_late
    FROM (
        SELECT *, @planned() AS planned, if(status = 'running', now64(3), last_seen) AS until
        FROM (@state(@runs, @stalled_after, @alive))
    ) AS s
    LEFT JOIN (
        SELECT
            i.run_id AS run_id, max(generation) AS done, any(b.last_start) AS began, any(b.last_start > b.first_start) AS resumed,
            if(resumed, maxIf(generation, timestamp >= b.last_start), done) AS reached,
            if(resumed, uniqExactIf(generation, timestamp >= b.last_start AND generation > 0), toUInt64(greatest(0, done))) AS made
        FROM (SELECT run_id, generation, timestamp FROM individuals WHERE @runs) AS i
        LEFT JOIN (
            SELECT run_id, min(start_time) AS first_start, max(start_time) AS last_start FROM evolution_runs_log WHERE @runs GROUP BY run_id
        ) AS b ON b.run_id = i.run_id
        GROUP BY run_id
    ) AS f ON f.run_id = s.run_id
    LEFT JOIN (@spent(@runs)) AS c ON c.run_id = s.run_id
    GROUP BY this_run
)
