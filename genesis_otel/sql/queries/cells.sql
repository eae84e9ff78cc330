-- Cells
--
-- The cells of a feature grid (MAP-Elites), per island: how many individuals fell into each when they arrived, how many of those failed,
-- and the best one. If a search rescales its bins along the way, a cell's meaning may change. A search without a grid has no rows.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- until = 0: only individuals that finished by then, in milliseconds since 1970; 0 for all
-- limit = 1000: maximum number of rows, the best first
SELECT
    island,
    cell,
    count() AS individuals,
    countIf(outcome = 'failed') AS failed,
    any(sign) * max(height) AS best_score,
    @of_best(individual_id) AS best_individual,
    if(best_score IS NULL, NULL, @of_best(generation)) AS best_generation,
    max(timestamp) AS latest
FROM (@climb(run_id = {run_id:String}))
WHERE cell != '' AND ({until:Int64} = 0 OR timestamp <= fromUnixTimestamp64Milli({until:Int64}))
GROUP BY island, cell
ORDER BY any(sign) * best_score DESC NULLS LAST, island, cell
LIMIT {limit:UInt32}
