-- Effectiveness of mutation types
--
-- The scores that each mutation type leads to, without the initial population and copies, and how many individuals have none because they
-- failed or are incorrect. `best_fitness` is the best in the direction of the run.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    mutation_type,
    count() AS count,
    @mean(score) AS avg_fitness,
    quantile(0.5)(score) AS median_fitness,
    quantile(0.9)(score) AS p90_fitness,
    max(score) AS max_fitness,
    any(sign) * max(height) AS best_fitness,
    countIf(outcome = 'failed') AS failed,
    countIf(outcome = 'incorrect') AS incorrect
FROM (@climb(run_id = {run_id:String}))
WHERE generation > 0 AND NOT copied
GROUP BY mutation_type
ORDER BY any(sign) * avg_fitness DESC NULLS LAST, mutation_type
