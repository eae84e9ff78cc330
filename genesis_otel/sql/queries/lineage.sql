-- Lineage of an individual
--
-- An individual and its ancestors, the seed first; of several parents the first. It goes back 1,000 steps, and in a run of few
-- generations two for each of them; the command `lineage` shows more, and goes back to the seed.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- individual_id = : the individual; the best one by default
WITH
    (
        SELECT (mapFromArrays(groupArray(child_id), groupArray(parent_id)), uniqExact(generation))
        FROM (
            SELECT child_id, parent_id, generation
            FROM code_lineages
            WHERE run_id = {run_id:String} AND parent_id != ''
            ORDER BY position, timestamp
            LIMIT 1 BY child_id
        )
    ) AS known,
    known.1 AS parent_of,
    (
        SELECT arrayDistinct(arrayFold(
            (path, step) -> if(parent_of[path[-1]] = '', path, arrayPushBack(path, parent_of[path[-1]])),
            range(least(1000, 20 + 2 * known.2)),
            [if({individual_id:String} != '', {individual_id:String}, (
                SELECT individual_id
                FROM individuals
                WHERE run_id = {run_id:String}
                ORDER BY status = 'ok' AND isFinite(fitness_score) DESC, fitness_score DESC, generation, timestamp, individual_id
                LIMIT 1
            ))]
        ))
    ) AS path
SELECT id, parent_id, generation, mutation_type, edit_summary
FROM (
    SELECT child_id AS id, parent_id, generation, mutation_type, edit_summary
    FROM code_lineages
    WHERE run_id = {run_id:String} AND has(path, child_id)
    ORDER BY position, timestamp
    LIMIT 1 BY child_id
)
ORDER BY indexOf(path, id) DESC
