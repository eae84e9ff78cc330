-- Best so far, thinned
--
-- The best-so-far score of each of these runs where it improved, in the order in which individuals finished, thinned to a few points, as
-- for a sparkline in a list. `gained` is the total improvement.
--
-- run_ids: their ids, e.g. ['a', 'b']
-- points = 60: maximum number of points per run
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
        @total_gain() AS gained,
        arraySort(groupArrayIf((place, best_so_far), best_so_far IS NOT NULL AND (improved OR top_before IS NULL))) AS rises,
        arraySlice(rises, greatest(1, length(rises) - {points:UInt32} + 1)) AS kept
    FROM (@climb(has({run_ids:Array(String)}, run_id)))
    GROUP BY run_id
)
ORDER BY run_id
