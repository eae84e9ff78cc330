-- What each generation has found, one row per run and generation: its own best and mean, its gain over all before it, the best that its
-- first improvement beat (`beaten`; NULL without one), and the search's best when the last of its individuals finished.
--
-- runs: which, a condition on run_id
SELECT
    run_id, generation, way AS sign, individuals, failed, incorrect, best_score, avg_score, improvement, improved, beaten, seen,
    @by_then(run_id) AS best_so_far
FROM (
    SELECT
        run_id,
        generation,
        any(sign) AS way,
        @outcomes(),
        way * max(height) AS best_score,
        @mean(score) AS avg_score,
        @total_gain() AS improvement,
        max(improved) AS improved,
        way * argMinIf(top_before, place, gain > 0) AS beaten,
        max(top) AS peak,
        max(timestamp) AS seen
    FROM (@climb(@runs))
    GROUP BY run_id, generation
)
