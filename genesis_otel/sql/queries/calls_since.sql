-- LLM calls that came since
--
-- The LLM calls of a run that the store took in after a moment, oldest first, without their texts. Asked again and again with the
-- newest `ingested_at`, it costs what is new. One may come twice: its span tells.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- since = 0: milliseconds since 1970; those that came later
-- limit = 200000: how many
SELECT
    span_id,
    timestamp,
    execution_time,
    model,
    role,
    individual_id,
    generation,
    status,
    if(llm_logs.unpriced, NULL, llm_logs.cost) AS cost,
    input_tokens,
    output_tokens,
    ingested_at
FROM llm_logs
WHERE run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
ORDER BY ingested_at, timestamp, span_id
LIMIT {limit:UInt32}
