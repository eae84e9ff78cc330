-- Individuals in the order in which they finished, with the best so far: what is best, an improvement or a gain is defined here.
-- `height` is a score that is higher when it is better, whichever way the run goes; `improved` marks an individual that is
-- better than all before it, but not the first one; `gain` is by how much, and never negative; `reached` is the newest
-- generation that anybody had finished in by then, and `evaluated` how many individuals were no copies.
--
-- runs: which, a condition on run_id
SELECT
    *,
    max(height) OVER so_far AS top,
    max(height) OVER (PARTITION BY run_id ORDER BY timestamp, individual_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS top_before,
    sign * top AS best_so_far,
    ifNull(height > top_before, false) AS improved,
    if(improved, least(assumeNotNull(height) - assumeNotNull(top_before), 1.7976931348623157e308), 0) AS gain,
    max(generation) OVER so_far AS reached,
    row_number() OVER so_far AS place,
    countIf(NOT copied) OVER so_far AS evaluated
FROM (
    SELECT *, if(run_id IN (SELECT run_id FROM evolution_runs WHERE @runs AND direction = 'min'), -1, 1) AS sign, sign * score AS height
    FROM (@programs(@runs))
)
WINDOW so_far AS (PARTITION BY run_id ORDER BY timestamp, individual_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
