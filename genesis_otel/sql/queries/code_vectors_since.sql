-- New programs as vectors
--
-- The programs of a run's individuals of which a row reached the store after a given time, oldest first, each as 32 numbers that are near each other
-- if the programs are written in the same words: every word and number of the code falls into one of 32 bins by its hash, and a bin's value
-- is the square root of its share of them, so that the length of a program does not count (vectors have length 1; feature hashing and
-- Hellinger's distance). `vector` has them as base64 of one byte each, of which 255 is 1; it is empty if no code was recorded, or none with a
-- word. Order and operators do not count. An individual may be returned twice: the later row counts.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- limit = 200000: maximum number of rows
SELECT
    individual_id,
    argMax(bytes, rank) AS vector,
    max(ingested) AS ingested_at
FROM (
    WITH arrayMap(word -> toUInt8(cityHash64(word) % 32), tokens(code)) AS bins
    SELECT
        individual_id,
        @latest() AS rank,
        individuals.ingested_at AS ingested,
        if(empty(bins), '', base64Encode(arrayStringConcat(arrayMap(bin -> char(round(255 * sqrt(countEqual(bins, bin) / length(bins)))), range(32))))) AS bytes
    FROM individuals
    WHERE run_id = {run_id:String} AND @touched(run_id = {run_id:String} AND ingested_at > fromUnixTimestamp64Milli({since:Int64}))
)
GROUP BY individual_id
ORDER BY ingested_at, individual_id
LIMIT {limit:UInt32}
