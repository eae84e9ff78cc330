-- The rows of `spent` with their `purpose`: `failures`, `incorrect` programs, `duplicates` (programs that the run had proposed before, by
-- hash), other `programs`, and `the search` for costs without an individual.
--
-- runs: which, a condition on run_id
SELECT
    s.run_id AS run_id, s.timestamp AS timestamp, s.cost AS cost, s.unpriced AS unpriced,
    multiIf(
        s.individual_id = '', 'the search',
        i.outcome = 'failed', 'failures',
        i.outcome = 'incorrect', 'incorrect',
        i.again, 'duplicates',
        'programs'
    ) AS purpose
FROM (@spent(@runs)) AS s
LEFT JOIN (
    SELECT
        run_id, individual_id, outcome,
        code_hash != '' AND row_number() OVER (PARTITION BY run_id, code_hash ORDER BY timestamp, individual_id) > 1 AS again
    FROM (@programs(@runs))
    WHERE NOT copied AND individual_id != ''
) AS i ON i.run_id = s.run_id AND i.individual_id = s.individual_id
