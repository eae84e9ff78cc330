-- New metrics
--
-- The numeric metrics of a run's individuals of which a row reached the store after a given time, oldest first: those of the row that
-- counts. An individual may be returned twice: the later row counts, which after the first time may have no metrics any more.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- most = 12: maximum number of metrics per individual, the first by name
-- limit = 200000: maximum number of rows
SELECT
    i.individual_id AS individual_id,
    arrayMap(each -> each.1, pairs) AS names,
    arrayMap(each -> each.2, pairs) AS numbers,
    t.ingested AS ingested_at
FROM (
    SELECT
        individual_id, timestamp,
        arraySlice(arraySort(arrayFilter(each -> isFinite(each.2), JSONExtractKeysAndValues(metrics, 'Float64'))), 1, {most:UInt32}) AS pairs
    FROM (@programs(run_id = {run_id:String} AND @touched(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))))
) AS i
INNER JOIN (@came(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))) AS t ON t.individual_id = i.individual_id
WHERE notEmpty(pairs) OR {since:Int64} > 0
ORDER BY t.ingested, i.timestamp, i.individual_id
LIMIT {limit:UInt32}
