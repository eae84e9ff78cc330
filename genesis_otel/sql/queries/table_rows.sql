-- Rows per table
--
-- The number of rows in each of the seven tables.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT table, rows
FROM (
    SELECT 1 AS position, 'evolution_runs' AS table, count() AS rows FROM evolution_runs WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 2, 'generations', count() FROM generations WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 3, 'individuals', count() FROM individuals WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 4, 'pareto_fronts', count() FROM pareto_fronts WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 5, 'code_lineages', count() FROM code_lineages WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 6, 'llm_logs', count() FROM llm_logs WHERE {run_id:String} = '' OR run_id = {run_id:String}
    UNION ALL
    SELECT 7, 'agent_actions', count() FROM agent_actions WHERE {run_id:String} = '' OR run_id = {run_id:String}
)
ORDER BY position
