-- Scores by example
--
-- The score on each example, for individuals evaluated on several examples (`scores` in their metrics, as GEPA records them) of which a row
-- reached the store after a given time, oldest first: those of the row that counts. An individual may be returned twice: the later row
-- counts, which after the first time may have no scores any more.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- limit = 200000: maximum number of rows
SELECT
    i.individual_id AS individual_id,
    i.timestamp AS timestamp,
    arrayMap(each -> each.1, pairs) AS examples,
    arrayMap(each -> each.2, pairs) AS scores,
    t.ingested AS ingested_at
FROM (
    SELECT
        individual_id, timestamp,
        if(outcome = 'failed' OR copied, [], JSONExtractKeysAndValues(metrics, 'scores', 'Float64')) AS pairs
    FROM (@programs(run_id = {run_id:String} AND @touched(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))))
) AS i
INNER JOIN (@came(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))) AS t ON t.individual_id = i.individual_id
WHERE notEmpty(pairs) OR {since:Int64} > 0
ORDER BY t.ingested, i.timestamp, i.individual_id
LIMIT {limit:UInt32}
