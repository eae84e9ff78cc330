-- What runs spent in USD, row by row: the cost of their calls, if calls are recorded, and what individuals and generations report beyond
-- it (`paid`), divided among them. The sum of a run's rows is its cost, and `unpriced` counts the calls without a price.
-- Rows of calls (`is_call`) have the span, the model, and whether the answer may be a program (`proposes`).
--
-- runs: which, a condition on run_id
SELECT
    run_id,
    generation,
    individual_id,
    timestamp,
    if(isFinite(llm_logs.cost), llm_logs.cost, 0) AS cost,
    toUInt64(llm_logs.unpriced OR NOT isFinite(llm_logs.cost)) AS unpriced,
    true AS is_call,
    span_id,
    toString(llm_logs.model) AS model,
    @proposes() AS proposes
FROM llm_logs FINAL
WHERE @runs

UNION ALL

SELECT run_id, nullIf(teller.2, -1), teller.1, teller.3, beyond, toUInt64(0), false, '', '', false
FROM (
    SELECT
        run_id, teller,
        multiIf(teller.5 = 0, 0, by_name, greatest(0, teller.5 - teller.4), own_there * teller.5 / told_there)
            + if(teller.6 = 0, 0, rest_there * teller.6 / whole_there) AS beyond
    FROM (@paid(@runs))
    ARRAY JOIN tellers AS teller
)
WHERE beyond > 1e-9
