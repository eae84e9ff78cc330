-- Gains by mutation type
--
-- Edits that beat their parent: how many of each mutation type, and what they gained.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT
    mutation_type,
    count() AS count,
    @mean(gain) AS avg_improvement,
    max(gain) AS best_improvement
FROM (@edges({run_id:String} = '' OR run_id = {run_id:String}))
WHERE gain > 0
GROUP BY mutation_type
ORDER BY avg_improvement DESC, mutation_type
