-- Latest Pareto front
--
-- The current front.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT individual_id, fitness_score, combined_score, metrics
FROM pareto_fronts
WHERE run_id = {run_id:String}
    AND generation = (SELECT max(generation) FROM pareto_fronts WHERE run_id = {run_id:String})
ORDER BY if((SELECT any(direction) FROM evolution_runs WHERE run_id = {run_id:String}) = 'min', -1, 1) * fitness_score DESC, individual_id
LIMIT 1 BY individual_id
