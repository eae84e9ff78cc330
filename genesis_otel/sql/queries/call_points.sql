-- LLM calls as points
--
-- When each LLM call of a run began, in seconds since the run began (NULL if that is unknown), how long it took and what it cost in USD; a
-- call without a price has no cost, and one of unknown duration no `execution_time`.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 20000: maximum number of rows, the newest
WITH (SELECT min(start_time) FROM evolution_runs WHERE run_id = {run_id:String}) AS began
SELECT
    @lasted(began, greatest(began, timestamp)) AS seconds,
    model,
    role,
    execution_time,
    cost,
    status,
    generation
FROM (
    SELECT timestamp, model, role, @took(llm_logs.execution_time) AS execution_time, @call_cost() AS cost, status, generation
    FROM llm_logs FINAL
    WHERE run_id = {run_id:String}
    ORDER BY timestamp DESC
    LIMIT {limit:UInt32}
)
ORDER BY timestamp
