-- Like `climb`, but for given individuals and within a given group; this is where best, improvement and gain are defined.
-- `height` is the score with the sign that makes higher better, whatever the run's direction; `improved` marks an individual that is
-- better than all before it, except the first; `leads` includes the first; `gain` is by how much, never negative; `reached` is the
-- newest generation in which an individual had finished by then, and `evaluated` the number of individuals that are not copies.
--
-- runs: which, a condition on run_id
-- members: which individuals, a subquery of `programs`
-- within: the columns that define a group of compared individuals
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
    SELECT *, if(run_id IN (@minimised(@runs)), -1, 1) AS sign, sign * score AS height
    FROM @members
)
WINDOW so_far AS (PARTITION BY @within ORDER BY timestamp, individual_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
