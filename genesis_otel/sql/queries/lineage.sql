-- Lineage of an individual
--
-- An individual and its ancestors, the seed first; where there are several parents, the first is followed. It goes back 1,000 steps, or in
-- a run with few generations two steps per generation; the `lineage` command shows more, and goes back to the seed.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_id = : the individual; the best one by default
WITH edges AS (
    SELECT child_id, parent_id, generation, mutation_type, edit_summary
    FROM code_lineages
    WHERE run_id = {run_id:String}
    ORDER BY position, timestamp
    LIMIT 1 BY child_id
)
SELECT e.child_id AS id, e.parent_id AS parent_id, e.generation AS generation, e.mutation_type AS mutation_type, e.edit_summary AS edit_summary
FROM (
    SELECT id, place
    FROM (
        SELECT arrayDistinct(arrayFold(
            (path, step) -> if(mother[path[-1]] = '', path, arrayPushBack(path, mother[path[-1]])),
            range(least(1000, 20 + 2 * generations)),
            [if({individual_id:String} != '', {individual_id:String}, (
                SELECT any(best_individual) FROM (@found(run_id = {run_id:String}))
            ))]
        )) AS path
        FROM (
            SELECT mapFromArrays(groupArray(child_id), groupArray(parent_id)) AS mother, uniqExact(generation) AS generations
            FROM edges
            WHERE parent_id != ''
        )
    )
    ARRAY JOIN path AS id, arrayEnumerate(path) AS place
) AS p
INNER JOIN edges AS e ON e.child_id = p.id
ORDER BY p.place DESC
