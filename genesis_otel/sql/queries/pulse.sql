-- Pulse of a run
--
-- A run in one row, for polling every few seconds: overall progress and totals, and what the last seconds brought (`recent_...`, counted
-- back from the run's end if it has ended). `planned` is the number of generations last requested, 0 if not given; `stagnant` marks a run
-- that has waited for an improvement longer than its own pace suggests. The percentiles are those of recent calls, or of all calls if there
-- are no recent ones, in seconds; calls of unknown duration do not count.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- window = 300: how many seconds count as recent
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
-- alive = []: runs that are not stalled, as their process is alive
WITH (
    SELECT if(@told_status() IN ('', 'running'), now64(3), argMax(log.end_time, (log.told_at, log.end_time))) - toIntervalSecond({window:UInt32})
    FROM evolution_runs_log AS log
    WHERE log.run_id = {run_id:String}
) AS since
SELECT
    r.task_name AS task_name,
    r.status AS status,
    r.error AS error,
    r.direction AS direction,
    if(r.status = '', arrayMin(arrayFilter(time -> time > toDateTime64(0, 3), [g.first, f.first, l.first, a.first])), r.began) AS start_time,
    if(r.status = '', @lasted(start_time, greatest(start_time, now64(3))), r.lasted) AS seconds,
    if(
        r.status = '',
        greatest(0, dateDiff('millisecond', greatest(start_time, g.last, f.last, l.last, a.last), now64(3))) / 1000,
        r.silent
    ) AS silent_seconds,
    r.planned AS planned,
    @numbered(g.recorded, r.told) AS generations,
    if(g.recorded > 0 AND f.individuals > 0, greatest(g.newest, f.newest), if(f.individuals > 0, f.newest, g.newest)) AS generation,
    f.individuals AS individuals,
    f.failed AS failed_individuals,
    f.incorrect AS incorrect_individuals,
    arrayCount(time -> time > since, f.times) AS recent_individuals,
    f.best_score AS best_score,
    f.best_generation AS best_generation,
    f.best_individual AS best_individual,
    f.improvements AS improvements,
    f.gained AS gained,
    f.since_improvement AS since_improvement,
    f.stagnant AS stagnant,
    c.whole AS cost,
    c.recent AS recent_cost,
    c.without_price AS unpriced,
    r.allowed AS budget,
    l.calls AS llm_calls,
    l.failed AS failed_llm_calls,
    l.recent AS recent_llm_calls,
    if(l.timed > 0, if(l.recently_timed > 0, l.recent_quantiles, l.quantiles)[1], NULL) AS p50,
    if(l.timed > 0, if(l.recently_timed > 0, l.recent_quantiles, l.quantiles)[2], NULL) AS p95,
    a.completed AS completed_jobs,
    a.failed AS failed_jobs
FROM (
    SELECT
        any(task_name) AS task_name,
        any(status) AS status,
        any(error) AS error,
        any(direction) AS direction,
        any(start_time) AS began,
        any(seconds) AS lasted,
        any(silent_seconds) AS silent,
        any(total_generations) AS told,
        max(asked) AS planned,
        any(budget) AS allowed
    FROM (SELECT *, @planned() AS asked FROM (@state(run_id = {run_id:String}, {stalled_after:UInt32}, {alive:Array(String)})))
) AS r
CROSS JOIN (
    SELECT uniqExact(generation) AS recorded, max(generation) AS newest, min(timestamp) AS first, max(timestamp) AS last
    FROM generations
    WHERE run_id = {run_id:String}
) AS g
CROSS JOIN (
    SELECT {run_id:String} AS run_id
) AS this
LEFT JOIN (@found(run_id = {run_id:String})) AS f ON f.run_id = this.run_id
CROSS JOIN (
    SELECT sum(cost) AS whole, sumIf(cost, timestamp > since) AS recent, sum(unpriced) AS without_price
    FROM (@spent(run_id = {run_id:String}))
) AS c
CROSS JOIN (
    SELECT
        count() AS calls,
        countIf(status != 'ok') AS failed,
        countIf(lately) AS recent,
        countIf(took IS NOT NULL) AS timed,
        countIf(took IS NOT NULL AND lately) AS recently_timed,
        quantiles(0.5, 0.95)(took) AS quantiles,
        quantilesIf(0.5, 0.95)(took, lately) AS recent_quantiles,
        min(timestamp) AS first,
        max(timestamp) AS last
    FROM (SELECT status, @took(execution_time) AS took, timestamp, timestamp > since AS lately FROM llm_logs FINAL WHERE run_id = {run_id:String})
) AS l
CROSS JOIN (
    SELECT
        count() AS actions,
        countIf(action_type = 'job_completed') AS completed,
        countIf(action_type = 'job_failed') AS failed,
        min(timestamp) AS first,
        maxIf(timestamp, NOT @annotates()) AS last
    FROM agent_actions FINAL
    WHERE run_id = {run_id:String} AND NOT @buried()
) AS a
WHERE r.status != '' OR g.recorded > 0 OR f.individuals > 0 OR l.calls > 0 OR a.actions > 0
