-- Summary of a run
--
-- A run in one row: how far it is, what it found, what it cost and may cost, and why it failed if it did.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
-- alive = []: runs that are not stalled, as their process is alive
SELECT
    r.run_id AS run_id,
    r.task_name AS task_name,
    r.status AS status,
    r.error AS error,
    r.direction AS direction,
    r.objectives AS objectives,
    r.start_time AS start_time,
    r.seconds AS seconds,
    r.silent_seconds AS silent_seconds,
    r.last_seen AS last_seen,
    @numbered(g.recorded, r.total_generations) AS generations,
    f.individuals AS individuals,
    f.failed AS failed_individuals,
    f.incorrect AS incorrect_individuals,
    f.best_score AS best_score,
    f.best_individual AS best_individual,
    f.best_generation AS best_generation,
    f.improvements AS improvements,
    f.gained AS gained,
    f.since_improvement AS since_improvement,
    l.calls AS llm_calls,
    l.failed AS failed_llm_calls,
    l.input_tokens AS input_tokens,
    l.output_tokens AS output_tokens,
    c.cost AS cost,
    c.unpriced AS unpriced,
    r.budget AS budget,
    t.tags AS tags,
    t.notes AS notes
FROM (@state(run_id = {run_id:String}, {stalled_after:UInt32}, {alive:Array(String)})) AS r
LEFT JOIN (@counted(run_id = {run_id:String})) AS g ON g.run_id = r.run_id
LEFT JOIN (@found(run_id = {run_id:String})) AS f ON f.run_id = r.run_id
LEFT JOIN (@cost(run_id = {run_id:String})) AS c ON c.run_id = r.run_id
LEFT JOIN (@tags(run_id = {run_id:String})) AS t ON t.run_id = r.run_id
CROSS JOIN (
    SELECT count() AS calls, countIf(status != 'ok') AS failed, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
    FROM llm_logs FINAL
    WHERE run_id = {run_id:String}
) AS l
