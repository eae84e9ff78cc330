-- Individuals that came since
--
-- The individuals of a run that the store took in after a moment, oldest first, with what can be drawn of them: where each comes
-- from, how it ended, and its score as others are compared with (none of who failed, is incorrect or a copy). Asked again and again
-- with the newest `ingested_at`, it costs what is new. One may come twice: the later word counts.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- since = 0: milliseconds since 1970; those that came later
-- limit = 200000: how many
SELECT
    i.individual_id AS individual_id,
    i.generation AS generation,
    i.timestamp AS timestamp,
    if(empty(e.parents), if(i.parent_id = '', [], [i.parent_id]), e.parents) AS parents,
    i.mutation_type AS mutation_type,
    i.island AS island,
    i.outcome AS outcome,
    i.copied AS copied,
    i.score AS score,
    i.code_size AS code_size,
    e.edit_summary AS edit_summary,
    i.ingested AS ingested_at
FROM (
    SELECT p.*, t.ingested AS ingested
    FROM (@programs(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))) AS p
    INNER JOIN (
        SELECT individual_id, max(ingested_at) AS ingested
        FROM individuals
        WHERE run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
        GROUP BY individual_id
    ) AS t ON t.individual_id = p.individual_id
) AS i
LEFT JOIN (
    SELECT
        child_id,
        arrayDistinct(arrayMap(edge -> edge.3, arraySort(groupArray((position, timestamp, parent_id))))) AS parents,
        substringUTF8(argMin(edit_summary, (position, timestamp)), 1, 120) AS edit_summary
    FROM code_lineages
    WHERE run_id = {run_id:String} AND parent_id != ''
        AND child_id IN (
            SELECT individual_id FROM individuals WHERE run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
        )
    GROUP BY child_id
) AS e ON e.child_id = i.individual_id
ORDER BY i.ingested, i.timestamp, i.individual_id
LIMIT {limit:UInt32}
