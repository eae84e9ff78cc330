-- Most prolific parents
--
-- The programs that were most often chosen as parents, and how their children did. The initial population has no parents.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 20: maximum number of rows
SELECT
    parent_id,
    count() AS num_children,
    @mean(gain) AS avg_improvement,
    countIf(gain > 0) AS successful_children
FROM (@edges(run_id = {run_id:String}))
WHERE parent_id != ''
GROUP BY parent_id
ORDER BY num_children DESC, parent_id
LIMIT {limit:UInt32}
