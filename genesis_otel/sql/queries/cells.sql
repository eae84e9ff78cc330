-- Cells
--
-- The cells of a grid of features (MAP-Elites), of each island: how many individuals fell into it when they came, how many of
-- those failed, and the best of them. Bins that a search scales anew as it goes may mean something else later. A search without a grid
-- has no row.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 1000: how many, the best first
SELECT
    island,
    cell,
    count() AS individuals,
    countIf(outcome = 'failed') AS failed,
    any(sign) * max(height) AS best_score,
    argMaxIf(individual_id, (height, -place), height IS NOT NULL) AS best_individual,
    if(best_score IS NULL, NULL, argMaxIf(generation, (height, -place), height IS NOT NULL)) AS best_generation,
    max(timestamp) AS latest
FROM (@climb(run_id = {run_id:String}))
WHERE cell != ''
GROUP BY island, cell
ORDER BY any(sign) * best_score DESC NULLS LAST, island, cell
LIMIT {limit:UInt32}
