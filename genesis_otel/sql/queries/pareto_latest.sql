-- Latest Pareto front
--
-- The current front: that of the newest generation that has one, as the search told it. `dominated` marks a member that is no better than
-- another one in any of the run's objectives, and worse in one; it is NULL if the objectives, or the member's values, are not known.
-- With one or two objectives this takes a sort: from the best in the first one down, the second has to rise. With more, each member is
-- compared with each other.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
WITH
    (SELECT (any(direction), any(objectives)) FROM (@folded()) WHERE run_id = {run_id:String}) AS told,
    members AS (
        SELECT
            individual_id, fitness_score, combined_score, metrics,
            arrayMap((name, way) -> @objective(name, way), mapKeys(told.2), mapValues(told.2)) AS point,
            max(arrayReverse(point)) OVER (PARTITION BY has(point, NULL) ORDER BY point DESC) AS highest
        FROM (@front(run_id = {run_id:String} AND generation = (SELECT max(generation) FROM pareto_fronts WHERE run_id = {run_id:String})))
    ),
    (SELECT groupArrayIf((individual_id, point), length(point) > 2) FROM members) AS points
SELECT
    individual_id, fitness_score, combined_score, metrics,
    multiIf(empty(point) OR has(point, NULL), NULL, length(point) <= 2, highest != arrayReverse(point), individual_id IN (
        SELECT one.own.1
        FROM (SELECT arrayJoin(points) AS own) AS one
        CROSS JOIN (SELECT arrayJoin(points) AS its) AS other
        WHERE own.2 != its.2 AND arrayAll((mine, theirs) -> ifNull(theirs >= mine, false), own.2, its.2)
    )) AS dominated
FROM members
ORDER BY if(told.1 = 'min', -1, 1) * fitness_score DESC, individual_id
