-- Latest Pareto front
--
-- The current front: that of the newest generation that has one, as the search told it. `dominated` marks a member that is no better than
-- another one in any of the run's objectives, and worse in one; it is NULL if the objectives, or the member's values, are not known.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
WITH
    (SELECT (any(direction), any(objectives)) FROM (@folded()) WHERE run_id = {run_id:String}) AS told,
    members AS (
        SELECT
            individual_id, fitness_score, combined_score, metrics,
            arrayMap((name, way) -> @objective(name, way), mapKeys(told.2), mapValues(told.2)) AS point
        FROM (@front(run_id = {run_id:String} AND generation = (SELECT max(generation) FROM pareto_fronts WHERE run_id = {run_id:String})))
    ),
    (SELECT groupArray((individual_id, point)) FROM members) AS points
SELECT
    individual_id, fitness_score, combined_score, metrics,
    if(empty(point) OR has(point, NULL), NULL, individual_id IN (
        SELECT one.own.1
        FROM (SELECT arrayJoin(points) AS own) AS one
        CROSS JOIN (SELECT arrayJoin(points) AS its) AS other
        WHERE own.2 != its.2 AND arrayAll((mine, theirs) -> ifNull(theirs >= mine, false), own.2, its.2)
    )) AS dominated
FROM members
ORDER BY if(told.1 = 'min', -1, 1) * fitness_score DESC, individual_id
