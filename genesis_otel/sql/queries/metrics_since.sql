-- Metrics that came since
--
-- The numbers among the metrics of the individuals of a run that the store took in after a moment, oldest first. One may come twice: the
-- later word counts.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- since = 0: milliseconds since 1970; those that came later
-- most = 12: how many metrics of each individual, the first ones by name
-- limit = 200000: how many
SELECT
    i.individual_id AS individual_id,
    arrayMap(each -> each.1, pairs) AS names,
    arrayMap(each -> each.2, pairs) AS numbers,
    t.ingested AS ingested_at
FROM (
    SELECT
        individual_id, timestamp,
        arraySlice(arraySort(arrayFilter(each -> isFinite(each.2), JSONExtractKeysAndValues(metrics, 'Float64'))), 1, {most:UInt32}) AS pairs
    FROM (@programs(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64})))
) AS i
INNER JOIN (@came(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))) AS t ON t.individual_id = i.individual_id
WHERE notEmpty(pairs)
ORDER BY t.ingested, i.timestamp, i.individual_id
LIMIT {limit:UInt32}
