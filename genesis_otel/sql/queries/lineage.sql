-- Lineage of an individual
--
-- An individual and its ancestors, the seed first; of several parents the first. The command `lineage` shows more, and
-- goes beyond the 1,000 steps to which ClickHouse follows a recursion.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- individual_id = : the individual; the best one by default
WITH RECURSIVE lineage AS (
    SELECT child_id AS id, parent_id, generation, mutation_type, edit_summary, [child_id] AS path
    FROM code_lineages
    WHERE run_id = {run_id:String}
        AND child_id = if({individual_id:String} != '', {individual_id:String}, (
            SELECT individual_id
            FROM individuals
            WHERE run_id = {run_id:String}
            ORDER BY status = 'ok' AND isFinite(fitness_score) DESC, fitness_score DESC, generation, timestamp, individual_id
            LIMIT 1
        ))
    ORDER BY position, timestamp
    LIMIT 1

    UNION ALL

    SELECT c.child_id, c.parent_id, c.generation, c.mutation_type, c.edit_summary, arrayPushBack(l.path, c.child_id)
    FROM (
        SELECT child_id, parent_id, generation, mutation_type, edit_summary
        FROM code_lineages
        WHERE run_id = {run_id:String}
        ORDER BY position, timestamp
        LIMIT 1 BY child_id
    ) AS c
    INNER JOIN lineage AS l ON c.child_id = l.parent_id
    WHERE NOT has(l.path, c.child_id)
)
SELECT id, parent_id, generation, mutation_type, edit_summary
FROM lineage
ORDER BY length(path) DESC
