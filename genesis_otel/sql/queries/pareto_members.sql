-- Members of Pareto fronts
--
-- The individuals on the front of each generation.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT generation, individual_id, fitness_score, combined_score
FROM (@front(run_id = {run_id:String}))
ORDER BY
    generation,
    if((SELECT any(direction) FROM evolution_runs WHERE run_id = {run_id:String}) = 'min', -1, 1) * fitness_score DESC,
    individual_id
