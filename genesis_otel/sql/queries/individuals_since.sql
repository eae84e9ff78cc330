-- New individuals
--
-- The individuals of a run of which anything reached the store after a given time, be it only a parent, oldest first, with what a plot
-- needs: where each comes from, how it ended, its score as compared with others (none if it failed, is incorrect or is a copy), the best so
-- far when it finished, and whether it was the best then. Polled with the newest `ingested_at` and the successive leaders so far, it costs only what is new: individuals that
-- finished after a late arrival are returned again, since the best so far may have changed for them. An individual may be returned twice:
-- the later row counts. If one finished before the first known leader, all are returned.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- leaders = []: the ids of the leaders until then; the last few are enough
-- limit = 200000: maximum number of rows
WITH
    (
        SELECT minOrNull(timestamp)
        FROM individuals
        WHERE run_id = {run_id:String} AND individual_id IN (
            SELECT individual_id FROM individuals WHERE run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
            UNION ALL
            SELECT child_id FROM code_lineages WHERE run_id = {run_id:String} AND parent_id != '' AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
        )
    ) AS oldest,
    (SELECT min(timestamp) FROM individuals WHERE run_id = {run_id:String} AND individual_id IN (SELECT arrayJoin({leaders:Array(String)}))) AS known_from,
    if(oldest < known_from, fromUnixTimestamp64Milli(0), oldest) AS from_then
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
    i.best_so_far AS best_so_far,
    i.leads AS leads,
    i.code_size AS code_size,
    e.edit_summary AS edit_summary,
    greatest(t.ingested, e.ingested) AS ingested_at
FROM (
    @climbing(
        run_id = {run_id:String},
        (@programs(
            run_id = {run_id:String} AND (
                timestamp >= from_then
                OR individual_id IN (
                    SELECT arrayJoin({leaders:Array(String)})
                    UNION ALL
                    SELECT individual_id FROM individuals WHERE run_id = {run_id:String} AND timestamp >= from_then AND @copied()
                )
            )
        )),
        run_id
    )
) AS i
INNER JOIN (@came(run_id = {run_id:String} AND timestamp >= from_then)) AS t ON t.individual_id = i.individual_id
LEFT JOIN (
    SELECT
        child_id,
        @parents_in_order() AS parents,
        substringUTF8(argMin(edit_summary, (@edge_order())), 1, 120) AS edit_summary,
        max(ingested_at) AS ingested
    FROM code_lineages
    WHERE run_id = {run_id:String} AND parent_id != ''
        AND child_id IN (SELECT individual_id FROM individuals WHERE run_id = {run_id:String} AND timestamp >= from_then)
    GROUP BY child_id
) AS e ON e.child_id = i.individual_id
WHERE i.timestamp >= from_then
ORDER BY ingested_at, i.timestamp, i.individual_id
LIMIT {limit:UInt32}
