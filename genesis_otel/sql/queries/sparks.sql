-- Best so far, in few points
--
-- For each of these runs its best so far where it rose, in the order in which individuals finished: at most so many points, as a line
-- in a list shows them. `gained` is how far it rose in all.
--
-- run_ids: their ids, e.g. ['a', 'b']
-- points = 60: at most as many of each
SELECT
    run_id,
    arrayMap(each -> each.2, kept) AS best_so_far,
    arrayMap(each -> each.1, kept) AS places,
    last,
    gained
FROM (
    SELECT
        run_id,
        max(place) AS last,
        sum(gain) AS gained,
        arraySort(groupArrayIf((place, best_so_far), best_so_far IS NOT NULL AND (improved OR top_before IS NULL))) AS rises,
        arraySlice(rises, greatest(1, length(rises) - {points:UInt32} + 1)) AS kept
    FROM (@climb(has({run_ids:Array(String)}, run_id)))
    GROUP BY run_id
)
ORDER BY run_id
