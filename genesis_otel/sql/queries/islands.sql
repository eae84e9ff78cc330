-- Islands
--
-- What each island of a run has found: how many individuals live there, how many of them failed or came from a parent on another island,
-- and the best one with the generation that it was found in. A run without islands has no row.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    i.island AS island,
    count() AS individuals,
    countIf(i.status != 'ok') AS failed,
    countIf(p.island != '' AND p.island != i.island) AS arrived,
    maxOrNullIf(i.fitness_score, scored) AS best_score,
    avgOrNullIf(i.fitness_score, scored) AS avg_score,
    argMaxIf(i.individual_id, (i.fitness_score, -i.generation), scored) AS best_individual,
    argMaxIf(i.generation, (i.fitness_score, -i.generation), scored) AS best_generation
FROM (
    SELECT *, status = 'ok' AND isFinite(fitness_score) AS scored
    FROM individuals
    WHERE run_id = {run_id:String} AND island != ''
) AS i
LEFT ANY JOIN (
    SELECT individual_id, island FROM individuals WHERE run_id = {run_id:String}
) AS p ON p.individual_id = i.parent_id
GROUP BY island
ORDER BY best_score DESC, island
