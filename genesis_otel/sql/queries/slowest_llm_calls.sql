-- Slowest LLM calls
--
-- The calls that took longest, of those whose duration is known, and where they belong; trace_id leads to everything around them. A call without a price has no cost. (Of
-- what was delivered more than five times, rows may be missing until ClickHouse has merged it.)
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
-- limit = 10: maximum number of rows
SELECT execution_time, model, timestamp, run_id, generation, individual_id, output_tokens, cost, status, trace_id
FROM (
    SELECT
        execution_time, model, timestamp, run_id, generation, individual_id, output_tokens, @call_cost() AS cost, status,
        trace_id, span_id, ingested_at
    FROM llm_logs
    WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND @took(execution_time) IS NOT NULL
    ORDER BY execution_time DESC
    LIMIT 5 * {limit:UInt32}
)
ORDER BY execution_time DESC, timestamp, span_id, ingested_at DESC
LIMIT 1 BY trace_id, span_id
LIMIT {limit:UInt32}
