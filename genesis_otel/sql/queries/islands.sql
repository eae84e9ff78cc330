-- Islands
--
-- What each island of a run has found: how many individuals were made there, how many of them failed or are incorrect, how many came from
-- another island or have a parent there, and the best one with the generation in which it was found. A run without islands has no rows.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    i.island AS island,
    @outcomes(),
    countIf(i.copied OR (p.island != '' AND p.island != i.island)) AS arrived,
    any(i.sign) * max(i.height) AS best_score,
    @mean(i.score) AS avg_score,
    @of_best(i.individual_id) AS best_individual,
    if(best_score IS NULL, NULL, @of_best(i.generation)) AS best_generation
FROM (@climb(run_id = {run_id:String})) AS i
LEFT ANY JOIN (
    SELECT individual_id, toString(island) AS island FROM (@programs(run_id = {run_id:String}))
) AS p ON p.individual_id = i.parent_id
WHERE i.island != ''
GROUP BY island
ORDER BY any(i.sign) * best_score DESC NULLS LAST, island
