-- Failures
--
-- What went wrong, newest first: LLM calls, evaluations and other actions, and individuals that no action reports, each once even if it was
-- delivered again (of what was delivered more than five times, rows may be missing until ClickHouse has merged it). `incorrect`
-- distinguishes programs that ran but did not pass their checks from errors.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
-- limit = 20: maximum number of rows
WITH (
    SELECT if(count() < 5 * {limit:UInt32}, toDateTime64(0, 3), min(timestamp))
    FROM (
        SELECT timestamp
        FROM agent_actions
        WHERE endsWith(action_type, '_failed') AND ({run_id:String} = '' OR run_id = {run_id:String})
        ORDER BY timestamp DESC
        LIMIT 5 * {limit:UInt32}
    )
) AS enough_since
SELECT timestamp, what, error, incorrect, run_id, generation, individual_id, trace_id
FROM (
    SELECT timestamp, concat('LLM call ', model) AS what, error, false AS incorrect, run_id, generation, individual_id, trace_id, span_id
    FROM llm_logs
    WHERE status != 'ok' AND ({run_id:String} = '' OR run_id = {run_id:String})
    ORDER BY timestamp DESC
    LIMIT 5 * {limit:UInt32}

    UNION ALL

    SELECT timestamp, action_type AS what, JSONExtractString(details, 'error') AS error,
        JSONExtractRaw(details, 'correct') = 'false' AND error = '' AS incorrect, run_id, generation, individual_id, trace_id, span_id
    FROM agent_actions
    WHERE endsWith(action_type, '_failed') AND ({run_id:String} = '' OR run_id = {run_id:String})
    ORDER BY timestamp DESC
    LIMIT 5 * {limit:UInt32}

    UNION ALL

    SELECT timestamp, 'individual' AS what, error, status = 'incorrect' AS incorrect, run_id, generation, individual_id, trace_id, span_id
    FROM individuals
    WHERE status != 'ok' AND NOT @copied()
        AND ({run_id:String} = '' OR run_id = {run_id:String})
        AND timestamp >= enough_since
        AND (run_id, individual_id) NOT IN (
            SELECT run_id, individual_id
            FROM agent_actions
            WHERE endsWith(action_type, '_failed')
                AND run_id IN (
                    SELECT run_id
                    FROM individuals
                    WHERE status != 'ok' AND timestamp >= enough_since AND ({run_id:String} = '' OR run_id = {run_id:String})
                )
        )
    ORDER BY timestamp DESC
    LIMIT 5 * {limit:UInt32}
)
ORDER BY timestamp DESC
LIMIT 1 BY what, run_id, individual_id, timestamp, span_id
LIMIT {limit:UInt32}
