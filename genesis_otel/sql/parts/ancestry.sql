-- An individual and its ancestors, the seed first; where there are several parents, the first is followed. It goes back 1,000 steps, or in
-- a run with few generations two steps per generation. The path is a scalar: a join with all edges would take as long again.
--
-- runs: which run, a condition on run_id that only one fulfils
-- individual: whose ancestors, an expression
WITH (
    SELECT arrayDistinct(arrayFold(
        (path, step) -> if(mother[path[-1]] = '', path, arrayPushBack(path, mother[path[-1]])),
        range(least(1000, 20 + 2 * generations)),
        [@individual]
    ))
    FROM (
        SELECT mapFromArrays(groupArray(child_id), groupArray(parent_id)) AS mother, uniqExact(generation) AS generations
        FROM (
            SELECT child_id, parent_id, generation
            FROM code_lineages
            WHERE @runs
            ORDER BY @edge_order()
            LIMIT 1 BY child_id
        )
        WHERE parent_id != ''
    )
) AS path
SELECT child_id AS id, parent_id, generation, mutation_type, edit_summary
FROM code_lineages
WHERE @runs AND child_id IN (SELECT arrayJoin(path))
ORDER BY indexOf(path, child_id) DESC, @edge_order()
LIMIT 1 BY child_id
