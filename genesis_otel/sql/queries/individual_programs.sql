-- Programs of individuals
--
-- The code and metrics of individuals, what else the search recorded of them, and what changed in them.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_ids: their ids, e.g. ['a', 'b']
SELECT i.individual_id AS individual_id, i.code AS code, i.metrics AS metrics, i.metadata AS metadata, i.error AS error, e.edit AS edit_summary
FROM (
    SELECT individual_id, code, metrics, metadata, error
    FROM individuals
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, individual_id)
    ORDER BY @latest() DESC
    LIMIT 1 BY individual_id
) AS i
LEFT JOIN (
    SELECT child_id, argMin(edit_summary, (@edge_order())) AS edit
    FROM code_lineages
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, child_id)
    GROUP BY child_id
) AS e ON e.child_id = i.individual_id
ORDER BY individual_id
