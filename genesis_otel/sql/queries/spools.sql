-- Spans waiting in spools
--
-- The last report of each spool: how many spans were waiting in it, how many the destination refused (dead letters) and how many were lost.
-- A spool reports every minute while spans leave it, and at once when something was refused or lost.
--
-- since = 0: only reports since then, in seconds since 1970
SELECT
    host,
    folder,
    told_at,
    JSONExtractUInt(word, 'waiting') AS waiting,
    JSONExtractUInt(word, 'bytes') AS bytes,
    JSONExtractFloat(word, 'oldest_seconds') AS oldest_seconds,
    JSONExtractUInt(word, 'dead_letters') AS dead_letters,
    JSONExtractUInt(word, 'dropped') AS dropped
FROM (
    SELECT
        JSONExtractString(details, 'host') AS host,
        JSONExtractString(details, 'folder') AS folder,
        max(timestamp) AS told_at,
        argMax(details, timestamp) AS word
    FROM agent_actions
    WHERE run_id = '' AND action_type = 'spool_state' AND timestamp >= toDateTime({since:UInt32})
    GROUP BY host, folder
)
ORDER BY dead_letters + dropped DESC, waiting DESC, told_at DESC
