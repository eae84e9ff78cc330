-- Parents
--
-- Every child with its parents, the first parent first: from its lineage or, if none was recorded, from the individual.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- child_id = : only this child
SELECT
    child_id,
    @parents_in_order() AS parent_ids
FROM (
    SELECT child_id, position, timestamp, parent_id
    FROM code_lineages
    WHERE run_id = {run_id:String} AND parent_id != '' AND ({child_id:String} = '' OR code_lineages.child_id = {child_id:String})

    UNION ALL

    SELECT individual_id AS child_id, 4294967295 AS position, timestamp, parent_id
    FROM individuals
    WHERE run_id = {run_id:String} AND parent_id != '' AND ({child_id:String} = '' OR individual_id = {child_id:String})
)
GROUP BY child_id
