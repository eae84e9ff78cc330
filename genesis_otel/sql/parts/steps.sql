-- What each generation has found, one row per run and generation: its own best and mean, its gain over all before it, and the
-- search's best when the last of its individuals finished.
--
-- runs: which, a condition on run_id
SELECT
    run_id, generation, sign, individuals, failed, incorrect, best_score, avg_score, improvement, improved, seen,
    sign * max(reached_height) OVER (PARTITION BY run_id ORDER BY generation ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS best_so_far
FROM (
    SELECT
        run_id,
        generation,
        any(sign) AS sign,
        countIf(NOT copied) AS individuals,
        countIf(outcome = 'failed' AND NOT copied) AS failed,
        countIf(outcome = 'incorrect' AND NOT copied) AS incorrect,
        sign * max(height) AS best_score,
        avg(score) AS avg_score,
        sum(gain) AS improvement,
        max(improved) AS improved,
        max(top) AS reached_height,
        max(timestamp) AS seen
    FROM (@climb(@runs))
    GROUP BY run_id, generation
)
