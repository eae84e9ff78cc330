-- What runs spent in USD, row by row: the cost of their calls, if calls are recorded, and any further cost reported for individuals
-- and generations. The sum of a run's rows is its cost, and `unpriced` counts the calls without a price.
-- A reported cost is compared with the calls that it includes, at the finest level possible: an individual's cost with its own calls;
-- if a generation's calls name no individual, with the generation's calls; if a run's calls name no generation, with all of them.
-- Rows of calls (`is_call`) have the span, the model, and whether the answer may be a program (`proposes`).
-- Differences below 1e-9 are rounding: sums of the same numbers in a different order.
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
    operation != 'embeddings' AND status = 'ok' AND role IN ('mutation', '') AS proposes
FROM llm_logs FINAL
WHERE @runs

UNION ALL

SELECT run_id, nullIf(number, -1) AS generation, individual_id, at AS timestamp, beyond AS cost, toUInt64(0) AS unpriced, false, '', '', false
FROM (
    SELECT
        *,
        own + if(whole = 0, 0, whole / whole_there * greatest(0, whole_there - called_there - sum(own) OVER there)) AS beyond
    FROM (
        SELECT
            *,
            sum(called) OVER there AS called_there,
            sum(told) OVER there AS told_there,
            sum(whole) OVER there AS whole_there,
            multiIf(
                told = 0, 0,
                max(individual_id != '' AND called > 0) OVER there, greatest(0, told - called),
                told / told_there * greatest(0, told_there - called_there)
            ) AS own
        FROM (
            SELECT *, if(max(number >= 0 AND called > 0) OVER of_run OR sum(called) OVER of_run = 0, number, -1) AS place
            FROM (
                SELECT run_id, max(named) AS number, individual_id, max(at) AS at, sum(called) AS called, sum(told) AS told, sum(whole) AS whole
                FROM (
                    SELECT
                        run_id, ifNull(generation, -1) AS named, individual_id, timestamp AS at,
                        if(isFinite(cost), cost, 0) AS called, 0. AS told, 0. AS whole
                    FROM llm_logs FINAL
                    WHERE @runs
                    UNION ALL
                    SELECT
                        run_id, generation, individual_id, timestamp,
                        0., if(copied OR NOT isFinite(api_cost + embed_cost + novelty_cost), 0., greatest(0., api_cost + embed_cost + novelty_cost)), 0.
                    FROM (@programs(@runs))
                    UNION ALL
                    SELECT run_id, generation, '', timestamp, 0., 0., greatest(0., total_cost)
                    FROM generations FINAL
                    WHERE @runs AND isFinite(total_cost)
                )
                GROUP BY run_id, individual_id, if(individual_id = '', named, 0)
            )
            WINDOW of_run AS (PARTITION BY run_id)
        )
        WINDOW there AS (PARTITION BY run_id, place)
    )
    WINDOW there AS (PARTITION BY run_id, place)
)
WHERE beyond > 1e-9
