-- What money bought, a row per what it was spent on (`model` or `mutation type`) and its name: individuals, improvements and gains, what they
-- cost, and both per dollar with a bootstrap interval of 90 %. Improvement and gain are those over all individuals before (`climb`).
-- An individual counts for the model of its last answered mutation call; a model's cost is that of all its calls, whoever they were for.
-- Individuals of which a call has no price are left out of everything but `unpriced`, since a gain without its cost would be a gift.
-- The interval is that of 200 resamples of individuals: each weighs in each as often as a Poisson variable of mean 1 says, which is read
-- from the hash of its name (thresholds in 2^32nds), so that the same rows have the same interval. Of less than five individuals, without an improvement, or where
-- a resample costs nothing, there is none.
--
-- runs: which, a condition on run_id
SELECT
    what, name, individuals, improvements, gain, cost, unpriced,
    improvements / nullIf(cost, 0) AS improvements_per_dollar,
    if(known, arrayReduce('quantileExactInclusive(0.05)', arrayMap((n, c) -> n / c, improved_again, paid_again)), NULL) AS improvements_low,
    if(known, arrayReduce('quantileExactInclusive(0.95)', arrayMap((n, c) -> n / c, improved_again, paid_again)), NULL) AS improvements_high,
    gain / nullIf(cost, 0) AS gain_per_dollar,
    if(known, arrayReduce('quantileExactInclusive(0.05)', arrayMap((n, c) -> n / c, gained_again, paid_again)), NULL) AS gain_low,
    if(known, arrayReduce('quantileExactInclusive(0.95)', arrayMap((n, c) -> n / c, gained_again, paid_again)), NULL) AS gain_high
FROM (
    SELECT
        what, name,
        countIf(made AND without_price = 0) AS individuals,
        sumIf(is_better, without_price = 0) AS improvements,
        sumIf(by_so_much, without_price = 0) AS gain,
        sumIf(paid, without_price = 0) AS cost,
        sum(without_price) AS unpriced,
        sumForEachIf(arrayMap(w -> w * is_better, weights), without_price = 0) AS improved_again,
        sumForEachIf(arrayMap(w -> w * by_so_much, weights), without_price = 0) AS gained_again,
        sumForEachIf(arrayMap(w -> w * paid, weights), without_price = 0) AS paid_again,
        individuals >= 5 AND improvements > 0 AND arrayMin(paid_again) > 0 AS known
    FROM (
        SELECT
            *,
            cityHash64(run_id, unit) AS seed,
            arrayMap(
                dice -> toFloat64((dice >= 1580030168) + (dice >= 3160060337) + (dice >= 3950075421) + (dice >= 4213413783) + (dice >= 4279248373) + (dice >= 4292415291) + (dice >= 4294609777)),
                arrayMap(resample -> bitShiftRight(intHash64(seed + resample), 32), range(200))
            ) AS weights
        FROM (
            SELECT
                'model' AS what, c.model AS name, c.run_id AS run_id, c.unit AS unit, c.paid AS paid, c.without_price AS without_price,
                i.individual_id != '' AND m.maker = c.model AS made,
                toFloat64(made AND i.improved) AS is_better, if(made, i.gain, 0) AS by_so_much
            FROM (
                SELECT
                    run_id, toString(model) AS model, individual_id, if(individual_id = '', span_id, individual_id) AS unit,
                    sum(if(isFinite(llm_logs.cost), llm_logs.cost, 0)) AS paid,
                    countIf(llm_logs.unpriced OR NOT isFinite(llm_logs.cost)) AS without_price
                FROM llm_logs FINAL
                WHERE @runs
                GROUP BY run_id, model, individual_id, unit
            ) AS c
            LEFT JOIN (
                SELECT run_id, individual_id, toString(argMax(model, timestamp)) AS maker
                FROM llm_logs
                WHERE @runs AND individual_id != '' AND operation != 'embeddings' AND status = 'ok' AND role IN ('mutation', '')
                GROUP BY run_id, individual_id
            ) AS m ON m.run_id = c.run_id AND m.individual_id = c.individual_id
            LEFT JOIN (
                SELECT run_id, individual_id, improved, gain FROM (@climb(@runs)) WHERE NOT copied AND individual_id != ''
            ) AS i ON i.run_id = c.run_id AND i.individual_id = c.individual_id

            UNION ALL

            SELECT
                'mutation type', toString(i.mutation_type), i.run_id, i.individual_id, s.paid, s.without_price,
                1, toFloat64(i.improved), i.gain
            FROM (
                SELECT run_id, individual_id, mutation_type, improved, gain
                FROM (@climb(@runs))
                WHERE NOT copied AND generation > 0 AND individual_id != ''
            ) AS i
            LEFT JOIN (
                SELECT run_id, individual_id, sum(cost) AS paid, sum(unpriced) AS without_price FROM (@spent(@runs)) GROUP BY run_id, individual_id
            ) AS s ON s.run_id = i.run_id AND s.individual_id = i.individual_id
        )
    )
    GROUP BY what, name
)
