-- Compare Pareto fronts across generations
--
-- Two metrics of each member of each front: the trade-off that the search has found.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- x = accuracy: name of the first metric
-- y = size: name of the second metric
SELECT
    generation,
    individual_id,
    JSONExtractFloat(metrics, {x:String}) AS x,
    JSONExtractFloat(metrics, {y:String}) AS y
FROM pareto_fronts
WHERE run_id = {run_id:String}
ORDER BY generation, x DESC
