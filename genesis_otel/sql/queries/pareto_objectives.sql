-- Pareto fronts across generations
--
-- Two metrics of each member of each front: the trade-off that the search has found. A metric that a member lacks, or that is not finite,
-- is NULL.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- x = accuracy: name of the first metric
-- y = size: name of the second metric
SELECT
    generation,
    individual_id,
    if(isFinite(JSONExtractFloat(metrics, {x:String})), JSONExtract(metrics, {x:String}, 'Nullable(Float64)'), NULL) AS x,
    if(isFinite(JSONExtractFloat(metrics, {y:String})), JSONExtract(metrics, {y:String}, 'Nullable(Float64)'), NULL) AS y
FROM (@front(run_id = {run_id:String}))
ORDER BY generation, x DESC, individual_id
