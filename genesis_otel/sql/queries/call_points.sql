-- LLM calls as points
--
-- When each LLM call of a run began, in seconds since the run began, how long it took and what it cost in USD; a call without a price has
-- no cost.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 20000: maximum number of rows, the newest
WITH (SELECT min(start_time) FROM evolution_runs WHERE run_id = {run_id:String}) AS began
SELECT
    greatest(0, dateDiff('millisecond', began, timestamp)) / 1000 AS seconds,
    model,
    role,
    execution_time,
    cost,
    status,
    generation
FROM (
    SELECT timestamp, model, role, execution_time, if(llm_logs.unpriced, NULL, llm_logs.cost) AS cost, status, generation
    FROM llm_logs FINAL
    WHERE run_id = {run_id:String}
    ORDER BY timestamp DESC
    LIMIT {limit:UInt32}
)
ORDER BY timestamp
