-- Gains by mutation type
--
-- Of the edits that were better than their parent: how many of each kind, and what they gained.
--
-- run_id = : one run alone: its id, the beginning of it, or latest; all runs by default
SELECT
    mutation_type,
    count() AS count,
    avg(fitness_delta) AS avg_improvement,
    max(fitness_delta) AS best_improvement
FROM code_lineages
WHERE fitness_delta > 0 AND ({run_id:String} = '' OR run_id = {run_id:String})
GROUP BY mutation_type
ORDER BY avg_improvement DESC
