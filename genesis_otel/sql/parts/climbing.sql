-- The same as `climb`, of individuals that are chosen and within a whole that is chosen: what is best, an improvement or a gain is
-- defined here. `height` is a score that is higher when it is better, whichever way the run goes; `improved` marks an individual that is
-- better than all before it, but not the first one; `leads` that one, too; `gain` is by how much, and never negative; `reached` is the
-- newest generation that anybody had finished in by then, and `evaluated` how many individuals were no copies.
--
-- runs: which, a condition on run_id
-- members: whom, a subquery of `programs`
-- within: the columns that those have in common who are compared
SELECT
    *,
    max(height) OVER so_far AS top,
    max(height) OVER (PARTITION BY @within ORDER BY timestamp, individual_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS top_before,
    sign * top AS best_so_far,
    ifNull(height > top_before, false) AS improved,
    improved OR (height IS NOT NULL AND top_before IS NULL) AS leads,
    if(improved, least(assumeNotNull(height) - assumeNotNull(top_before), 1.7976931348623157e308), 0) AS gain,
    max(generation) OVER so_far AS reached,
    row_number() OVER so_far AS place,
    countIf(NOT copied) OVER so_far AS evaluated
FROM (
    SELECT *, if(run_id IN (SELECT run_id FROM evolution_runs WHERE @runs AND direction = 'min'), -1, 1) AS sign, sign * score AS height
    FROM @members
)
WINDOW so_far AS (PARTITION BY @within ORDER BY timestamp, individual_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
