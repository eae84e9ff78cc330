-- What waits on the machines of the searches
--
-- The last word of each spool: how many spans waited in it, how many the destination refused (dead letters) and how many were lost. A
-- spool tells while spans go out of it, a minute apart, and at once when something was refused or lost.
--
-- since = 0: only what was told since then, in seconds since 1970
SELECT
    JSONExtractString(details, 'host') AS host,
    JSONExtractString(details, 'folder') AS folder,
    max(timestamp) AS told_at,
    argMax(JSONExtractUInt(details, 'waiting'), timestamp) AS waiting,
    argMax(JSONExtractUInt(details, 'bytes'), timestamp) AS bytes,
    argMax(JSONExtractFloat(details, 'oldest_seconds'), timestamp) AS oldest_seconds,
    argMax(JSONExtractUInt(details, 'dead_letters'), timestamp) AS dead_letters,
    argMax(JSONExtractUInt(details, 'dropped'), timestamp) AS dropped
FROM agent_actions
WHERE run_id = '' AND action_type = 'spool_state' AND timestamp >= toDateTime({since:UInt32})
GROUP BY host, folder
ORDER BY dead_letters + dropped DESC, waiting DESC, told_at DESC
