-- What money bought, a row per what it was spent on (`model` or `mutation type`) and its name: individuals, improvements and gains, what they
-- cost, and both per dollar with a bootstrap interval of 90 %. Improvement and gain are those over all individuals before (`climb`).
-- An individual counts for the model of its last answered mutation call; a model's cost is that of all its calls, whoever they were for.
-- Individuals of which a call has no price are left out of everything but `unpriced`, since a gain without its cost would be a gift.
-- The interval is that of 200 resamples: by the hash of its name an individual belongs to one of 512 lots, and each lot weighs in each resample
-- as often as a Poisson variable of mean 1 says, which is read from its number's hash (thresholds in 2^32nds), so that the same rows have the same
-- interval. Few individuals have lots of their own, and are resampled one by one; of many, lots drawn by chance vary as much as their members do, and
-- the work does not grow with them. Of less than five individuals, without an improvement, or where a resample costs nothing, there is none.
--
-- runs: which, a condition on run_id
SELECT
    what, name, individuals, improvements, gain, cost, unpriced,
    improvements / nullIf(cost, 0) AS improvements_per_dollar,
    if(known, arrayReduce('quantileExactInclusive(0.05)', improvements_again), NULL) AS improvements_low,
    if(known, arrayReduce('quantileExactInclusive(0.95)', improvements_again), NULL) AS improvements_high,
    gain / nullIf(cost, 0) AS gain_per_dollar,
    if(known, arrayReduce('quantileExactInclusive(0.05)', gains_again), NULL) AS gain_low,
    if(known, arrayReduce('quantileExactInclusive(0.95)', gains_again), NULL) AS gain_high
FROM (
    SELECT
        what, name, individuals, improvements, gain, cost, unpriced,
        arrayMap((n, c) -> n / c, improved_again, paid_again) AS improvements_again,
        arrayMap((n, c) -> n / c, gained_again, paid_again) AS gains_again,
        least(individuals >= 5, improvements > 0, arrayMin(paid_again) > 0) AS known
    FROM (
        SELECT
            what, name, sum(made) AS individuals, sum(better) AS improvements, sum(gained) AS gain, sum(paid) AS cost, sum(without_price) AS unpriced,
            sumForEach(arrayMap(w -> w * better, weights)) AS improved_again,
            sumForEach(arrayMap(w -> w * gained, weights)) AS gained_again,
            sumForEach(arrayMap(w -> w * paid, weights)) AS paid_again
        FROM (
            SELECT
                what, name, made, better, gained, paid, without_price,
                arrayMap(
                    dice -> toFloat64(arrayCount(bound -> dice >= bound, [1580030168, 3160060337, 3950075421, 4213413783, 4279248373, 4292415291, 4294609777])),
                    arrayMap(resample -> bitShiftRight(intHash64(lot * 200 + resample), 32), range(200))
                ) AS weights
            FROM (
                SELECT
                    bought.1 AS what, bought.2 AS name, lot,
                    sum(bought.3 * (bought.5 = 0)) AS made, sum(better * bought.3 * (bought.5 = 0)) AS better,
                    sum(gained * bought.3 * (bought.5 = 0)) AS gained, sum(bought.4 * (bought.5 = 0)) AS paid, sum(bought.5) AS without_price
                FROM (
                    SELECT
                        lot, better, gained,
                        arrayJoin(arrayConcat(
                            if(is_born, [('mutation type', how, toUInt8(1), all_paid, all_unpriced)], []),
                            arrayMap(call -> ('model', call.1, is_program * (call.1 = maker), call.2, call.3), by_model)
                        )) AS bought
                    FROM (
                        SELECT
                            cityHash64(run_id, unit) % 512 AS lot, max(how) AS how, max(is_program) AS is_program, max(is_born) AS is_born,
                            max(better) AS better, max(gained) AS gained, sum(paid) AS all_paid, sum(without_price) AS all_unpriced,
                            argMaxIf(model, proposed_at, proposed) AS maker, groupArrayIf((model, paid, without_price), is_call) AS by_model
                        FROM (
                            SELECT
                                run_id, unit, is_call, model, sum(cost) AS paid, sum(unpriced) AS without_price,
                                max(proposes) AS proposed, maxIf(timestamp, proposes) AS proposed_at,
                                max(mutation_type) AS how, max(is_program) AS is_program, max(is_born) AS is_born, max(improved) AS better, max(gain) AS gained
                            FROM (
                                SELECT
                                    run_id, if(individual_id = '', span_id, individual_id) AS unit, is_call, model, cost, unpriced, timestamp, proposes,
                                    '' AS mutation_type, false AS is_program, false AS is_born, false AS improved, 0. AS gain
                                FROM (@spent(@runs))
                                UNION ALL
                                SELECT
                                    run_id, individual_id, false, '', 0., 0, timestamp, false,
                                    toString(mutation_type), true, generation > 0, improved, gain
                                FROM (@climb(@runs))
                                WHERE NOT copied AND individual_id != ''
                            )
                            GROUP BY run_id, unit, is_call, model
                        )
                        GROUP BY run_id, unit
                    )
                )
                GROUP BY what, name, lot
            )
        )
        GROUP BY what, name
    )
)
