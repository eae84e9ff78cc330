-- Evaluation output
--
-- The output of evaluations, newest first: one row per text, by name (stdout, stderr, traceback, ...), showing its end. A value
-- that is not text is shown as JSON.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_ids = []: only these individuals, e.g. ['a', 'b']
-- failed = 0: 1 for failed evaluations only
-- characters = 2000: how many of each text to show, from its end
-- limit = 20: maximum number of rows
SELECT
    timestamp,
    individual_id,
    generation,
    action_type = 'job_failed' AS failed,
    JSONExtractString(details, 'job_id') AS job,
    told.1 AS name,
    substringUTF8(
        if(JSONType(output, told.1) = 'String', JSONExtractString(output, told.1), told.2),
        -toInt64({characters:UInt32})
    ) AS text,
    trace_id,
    span_id
FROM (
    SELECT timestamp, individual_id, generation, action_type, details, output, trace_id, span_id
    FROM agent_actions
    WHERE run_id = {run_id:String}
        AND output != ''
        AND (empty({individual_ids:Array(String)}) OR has({individual_ids:Array(String)}, individual_id))
        AND ({failed:UInt8} = 0 OR action_type = 'job_failed')
    ORDER BY timestamp DESC, span_id
    LIMIT 1 BY span_id
)
ARRAY JOIN JSONExtractKeysAndValuesRaw(output) AS told
ORDER BY timestamp DESC, span_id
LIMIT {limit:UInt32}
