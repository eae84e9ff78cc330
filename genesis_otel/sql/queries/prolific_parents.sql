-- Most prolific parents
--
-- Which programs were taken up most often, and how their children did. The initial population has no parent.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 20: how many
SELECT
    parent_id,
    count() AS num_children,
    avg(fitness_delta) AS avg_improvement,
    countIf(fitness_delta > 0) AS successful_children
FROM code_lineages
WHERE run_id = {run_id:String} AND parent_id != ''
GROUP BY parent_id
ORDER BY num_children DESC, parent_id
LIMIT {limit:UInt32}
