-- Migrations
--
-- Who moved from which island to which, and when, newest first: copies of individuals, individuals that moved themselves, and children
-- whose first parent is from another island (`crossed`). An island is empty if it is not known.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 1000: maximum number of rows
SELECT m.timestamp AS timestamp, m.generation AS generation, m.kind AS kind, m.individual_id AS individual_id, m.left AS from_island, m.reached AS to_island, s.fitness_score AS score
FROM (
    SELECT i.timestamp AS timestamp, i.generation AS generation, if(i.copied, 'copied', 'crossed') AS kind, i.individual_id AS individual_id, p.island AS left, i.island AS reached
    FROM (@programs(run_id = {run_id:String})) AS i
    LEFT ANY JOIN (
        SELECT individual_id, toString(island) AS island FROM (@programs(run_id = {run_id:String}))
    ) AS p ON p.individual_id = i.parent_id
    WHERE i.island != '' AND (i.copied OR (p.island != '' AND p.island != i.island))

    UNION ALL

    SELECT timestamp, ifNull(generation, -1), 'moved', JSONExtractString(move, 'individual_id'), trim(BOTH '"' FROM JSONExtractRaw(move, 'from')), trim(BOTH '"' FROM JSONExtractRaw(move, 'to'))
    FROM (SELECT timestamp, generation, arrayJoin(JSONExtractArrayRaw(details, 'moves')) AS move FROM agent_actions FINAL WHERE run_id = {run_id:String} AND action_type = 'migration')
    WHERE JSONHas(move, 'to')
) AS m
LEFT ANY JOIN (
    SELECT individual_id, fitness_score FROM (@programs(run_id = {run_id:String})) WHERE outcome = 'ok'
) AS s ON s.individual_id = m.individual_id
ORDER BY m.timestamp DESC, m.individual_id
LIMIT {limit:UInt32}
