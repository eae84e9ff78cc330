-- Slowest generation
--
-- The trace of the generation whose individuals and LLM calls span the longest time, and its duration in seconds. A call of unknown duration
-- counts at the one time that is known of it. A generation of which only one time is known has no duration.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT trace_id, max(generation) AS generation, @took(dateDiff('millisecond', min(began), max(ended)) / 1000) AS seconds
FROM (
    SELECT trace_id, generation, timestamp AS began, timestamp AS ended
    FROM individuals
    WHERE run_id = {run_id:String}
    UNION ALL
    SELECT trace_id, generation, timestamp, timestamp + toIntervalMillisecond(toInt64(ifNull(@took(execution_time), 0) * 1000))
    FROM llm_logs
    WHERE run_id = {run_id:String} AND individual_id != ''
)
WHERE trace_id != ''
GROUP BY trace_id
HAVING seconds IS NOT NULL
ORDER BY seconds DESC
LIMIT 1
