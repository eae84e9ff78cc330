-- Events
--
-- The latest events of a run, newest first: actions, individuals, generations that ended, and LLM calls that failed. `failed` marks those
-- that went wrong; for them `told` gives the reason, for the others the result. Each is listed once even if it was delivered again (of what
-- was delivered more than five times, rows may be missing until ClickHouse has merged it).
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- failed = 0: 1 for failed events only
-- limit = 10: maximum number of rows
SELECT timestamp, what, told, failed, generation, individual_id, trace_id
FROM (
    SELECT * FROM (
        SELECT
            timestamp,
            action_type AS what,
            substringUTF8(JSONExtractString(details, 'error'), 1, 1000) AS told,
            endsWith(action_type, '_failed') AS failed,
            generation, individual_id, trace_id, span_id
        FROM agent_actions
        WHERE run_id = {run_id:String} AND failed >= {failed:UInt8}
        ORDER BY timestamp DESC
        LIMIT 5 * {limit:UInt32}
    )

    UNION ALL

    SELECT * FROM (
        SELECT
            timestamp,
            concat('LLM call ', model) AS what,
            substringUTF8(error, 1, 1000) AS told,
            true AS failed,
            generation, individual_id, trace_id, span_id
        FROM llm_logs
        WHERE run_id = {run_id:String} AND status != 'ok'
        ORDER BY timestamp DESC
        LIMIT 5 * {limit:UInt32}
    )

    UNION ALL

    SELECT * FROM (
        SELECT
            timestamp,
            if(status = 'incorrect', 'incorrect individual', 'individual') AS what,
            if(status = 'ok', concat(mutation_type, if(mutation_type = '', '', ' '), ifNull(@written(fitness_score), 'without a score')), substringUTF8(error, 1, 1000)) AS told,
            status != 'ok' AND NOT @copied() AS failed,
            generation, individual_id, trace_id, span_id
        FROM individuals
        WHERE run_id = {run_id:String} AND failed >= {failed:UInt8}
        ORDER BY timestamp DESC
        LIMIT 5 * {limit:UInt32}
    )

    UNION ALL

    SELECT * FROM (
        SELECT
            timestamp,
            'generation' AS what,
            concat(toString(num_individuals), ' individuals, ', ifNull(concat('best ', @written(best_score)), 'none with a score')) AS told,
            false AS failed,
            generation, '' AS individual_id, trace_id, span_id
        FROM generations
        WHERE run_id = {run_id:String} AND {failed:UInt8} = 0
        ORDER BY timestamp DESC
        LIMIT 5 * {limit:UInt32}
    )
)
ORDER BY timestamp DESC, what, individual_id
LIMIT 1 BY what, span_id
LIMIT {limit:UInt32}
