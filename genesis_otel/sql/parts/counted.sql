-- The number of generations of each run: those recorded, or the number given at the run's end, since callers of the first logger may
-- record nothing else.
--
-- runs: which, a condition on run_id
SELECT run_id, max(number) AS generations
FROM (
    SELECT run_id, uniqExact(generation) AS number FROM generations WHERE @runs GROUP BY run_id
    UNION ALL
    SELECT run_id, toUInt64(greatest(0, total_generations)) FROM (@folded()) WHERE @runs
)
GROUP BY run_id
