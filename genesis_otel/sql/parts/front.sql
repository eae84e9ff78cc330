-- The Pareto front of each generation, each member once. A generation that ends and is opened again may tell several fronts, and so may
-- one that tells its front as it grows: the one that counts is the last, by its own time and not by its arrival, as a whole.
--
-- runs: which, a condition on run_id, and on the generation if only some are wanted
SELECT run_id, generation, individual_id, fitness_score, combined_score, metrics
FROM (
    SELECT
        run_id, generation, individual_id, position, fitness_score, combined_score, metrics,
        (timestamp, trace_id, span_id) AS told, max(told) OVER (PARTITION BY run_id, generation) AS last
    FROM pareto_fronts
    WHERE @runs
)
WHERE told = last
ORDER BY run_id, generation, individual_id, position
LIMIT 1 BY run_id, generation, individual_id
