-- New LLM calls
--
-- The LLM calls of a run that reached the store after a given time, oldest first, without their texts. An unknown `execution_time` is NULL.
-- Polled with the newest `ingested_at`, it costs only what is new. A call may be returned twice: its span identifies it.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- limit = 200000: maximum number of rows
SELECT
    span_id,
    timestamp,
    @took(llm_logs.execution_time) AS execution_time,
    model,
    role,
    individual_id,
    generation,
    status,
    @call_cost() AS cost,
    input_tokens,
    output_tokens,
    ingested_at
FROM llm_logs
WHERE run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
ORDER BY ingested_at, timestamp, span_id
LIMIT 1 BY span_id
LIMIT {limit:UInt32}
