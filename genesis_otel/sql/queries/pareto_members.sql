-- Members of Pareto fronts
--
-- The individuals that were on the front of their generation when they ended.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT generation, individual_id, fitness_score, combined_score
FROM individuals
WHERE run_id = {run_id:String} AND is_pareto
ORDER BY generation, fitness_score DESC
