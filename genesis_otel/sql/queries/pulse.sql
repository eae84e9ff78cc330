-- Pulse of a run
--
-- A run in one row, for whoever looks again every few seconds: how far it is and what it took as a whole, and beside that
-- what the last seconds brought (`recent_...`, before the run's end where it has one). `planned` is what its configuration
-- says, 0 where it says nothing. The cost is the largest of what LLM calls, individuals and generations add up to: each may
-- be the one that was recorded. The percentiles are of recent calls, or of all where none is recent, in seconds.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- window = 300: how many seconds are recent
WITH
    assumeNotNull((
        SELECT if(any(status) IN ('', 'running'), now64(3), max(end_time))
        FROM evolution_runs
        WHERE run_id = {run_id:String}
    )) AS until,
    until - toIntervalSecond({window:UInt32}) AS since
SELECT
    r.task_name AS task_name,
    r.status AS status,
    arrayMin(arrayFilter(time -> time > toDateTime64(0, 3), [r.began, g.first, i.first, l.first, a.first])) AS start_time,
    greatest(0, dateDiff('millisecond', start_time, until)) / 1000 AS seconds,
    greatest(0, dateDiff('millisecond', greatest(start_time, r.ended, g.last, i.last, l.last, a.last), now64(3))) / 1000 AS silent_seconds,
    r.planned AS planned,
    g.generations AS generations,
    if(g.generations > 0 AND i.individuals > 0, greatest(g.newest, i.newest), if(i.individuals > 0, i.newest, g.newest)) AS generation,
    i.individuals AS individuals,
    i.failed AS failed_individuals,
    i.recent AS recent_individuals,
    i.best AS best_score,
    i.best_generation AS best_generation,
    i.best_individual AS best_individual,
    greatest(g.spent, i.spent, l.spent) AS cost,
    greatest(g.recent_spent, i.recent_spent, l.recent_spent) AS recent_cost,
    l.calls AS llm_calls,
    l.failed AS failed_llm_calls,
    l.recent AS recent_llm_calls,
    if(l.calls > 0, if(l.recent > 0, l.recent_quantiles, l.quantiles)[1], NULL) AS p50,
    if(l.calls > 0, if(l.recent > 0, l.recent_quantiles, l.quantiles)[2], NULL) AS p95,
    a.completed AS completed_jobs,
    a.failed AS failed_jobs
FROM (
    SELECT
        any(task_name) AS task_name,
        any(status) AS status,
        min(start_time) AS began,
        max(end_time) AS ended,
        max(greatest(
            JSONExtractInt(config, 'evolution', 'num_generations'), JSONExtractInt(config, 'evo_config', 'num_generations'),
            JSONExtractInt(config, 'num_generations'), JSONExtractInt(config, 'max_iterations')
        )) AS planned
    FROM evolution_runs
    WHERE run_id = {run_id:String}
) AS r
CROSS JOIN (
    SELECT
        uniqExact(generation) AS generations,
        max(generation) AS newest,
        min(timestamp) AS first,
        max(timestamp) AS last,
        sum(total_cost) AS spent,
        sumIf(total_cost, timestamp > since) AS recent_spent
    FROM generations
    WHERE run_id = {run_id:String}
) AS g
CROSS JOIN (
    SELECT
        uniqExact(individual_id) AS individuals,
        uniqExactIf(individual_id, status != 'ok') AS failed,
        uniqExactIf(individual_id, timestamp > since) AS recent,
        max(generation) AS newest,
        maxOrNullIf(fitness_score, status = 'ok' AND isFinite(fitness_score)) AS best,
        argMaxIf(generation, (fitness_score, -generation), status = 'ok' AND isFinite(fitness_score)) AS best_generation,
        argMaxIf(individual_id, (fitness_score, -generation), status = 'ok' AND isFinite(fitness_score)) AS best_individual,
        min(timestamp) AS first,
        max(timestamp) AS last,
        sum(api_cost + embed_cost + novelty_cost) AS spent,
        sumIf(api_cost + embed_cost + novelty_cost, timestamp > since) AS recent_spent
    FROM individuals
    WHERE run_id = {run_id:String}
) AS i
CROSS JOIN (
    SELECT
        count() AS calls,
        countIf(status != 'ok') AS failed,
        countIf(timestamp > since) AS recent,
        quantiles(0.5, 0.95)(execution_time) AS quantiles,
        quantilesIf(0.5, 0.95)(execution_time, timestamp > since) AS recent_quantiles,
        min(timestamp) AS first,
        max(timestamp) AS last,
        sum(cost) AS spent,
        sumIf(cost, timestamp > since) AS recent_spent
    FROM llm_logs
    WHERE run_id = {run_id:String}
) AS l
CROSS JOIN (
    SELECT
        count() AS actions,
        countIf(action_type = 'job_completed') AS completed,
        countIf(action_type = 'job_failed') AS failed,
        min(timestamp) AS first,
        max(timestamp) AS last
    FROM agent_actions
    WHERE run_id = {run_id:String}
) AS a
WHERE r.status != '' OR g.generations > 0 OR i.individuals > 0 OR l.calls > 0 OR a.actions > 0
