-- The tags and notes of runs, oldest first, without tags that were removed again.
--
-- runs: which, a condition on run_id
SELECT
    run_id,
    arraySort(groupArrayIf(told, kind = 'tag')) AS tags,
    arrayMap(each -> each.2, arraySort(groupArrayIf((at, told), kind = 'note'))) AS notes
FROM (
    SELECT
        run_id,
        if(action_type = 'note', JSONExtractString(details, 'text'), JSONExtractString(details, 'tag')) AS told,
        action_type = 'note' AS is_note,
        argMax(toString(action_type), timestamp) AS kind,
        max(timestamp) AS at
    FROM agent_actions
    WHERE @runs AND @annotates()
    GROUP BY run_id, told, is_note
)
GROUP BY run_id
