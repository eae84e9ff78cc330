-- What money bought, one row per kind of spending (`model` or `mutation type`) and name: individuals, improvements and gains, their cost,
-- and both per dollar with a 90 % bootstrap interval. Improvement and gain are measured against all earlier individuals (`climb`).
-- An individual counts for the model of its last answered mutation call; a model's cost is that of all its calls, whatever they were for.
-- Individuals with an unpriced call count only in `unpriced`, since a gain without its cost would look free.
-- The interval comes from 200 resamples: the hash of its name assigns an individual to one of 512 lots, and in each resample a lot is weighted by
-- a Poisson variable of mean 1, derived from the hash of its number (thresholds in 2^32nds), so that the same rows give the same interval.
-- If there are few individuals, each has a lot of its own and is resampled by itself; if there are many, random lots vary as much as their
-- members do, and the work does not grow. There is no interval for fewer than five individuals, without an improvement, or if a resample costs 0.
-- ClickHouse takes milliseconds to analyse each SELECT around those that read calls and individuals, and each key by which it groups: there
-- are four, and `kind` is one key.
-- `sumMap` drops keys whose sums are all zero, such as the calls of a free model; the 1 keeps them.
--
-- runs: which, a condition on run_id
SELECT
    kind.1 AS what, kind.2 AS name, individuals, improvements, gain, cost, unpriced,
    improvements / nullIf(cost, 0) AS improvements_per_dollar,
    if(known, improvements_within[1], NULL) AS improvements_low,
    if(known, improvements_within[2], NULL) AS improvements_high,
    gain / nullIf(cost, 0) AS gain_per_dollar,
    if(known, gain_within[1], NULL) AS gain_low,
    if(known, gain_within[2], NULL) AS gain_high
FROM (
    SELECT
        kind, sum(made) AS individuals, sum(better) AS improvements, sum(gained) AS gain, sum(paid) AS cost, sum(without_price) AS unpriced,
        sumForEach(arrayMap(weight -> weight * paid, weights)) AS paid_again,
        arrayMap((some, dollars) -> some / dollars, sumForEach(arrayMap(weight -> weight * better, weights)), paid_again) AS improvements_again,
        arrayMap((some, dollars) -> some / dollars, sumForEach(arrayMap(weight -> weight * gained, weights)), paid_again) AS gains_again,
        arrayReduce('quantilesExactInclusive(0.05, 0.95)', improvements_again) AS improvements_within,
        arrayReduce('quantilesExactInclusive(0.05, 0.95)', gains_again) AS gain_within,
        least(individuals >= 5, improvements > 0, arrayMin(paid_again) > 0) AS known
    FROM (
        WITH [0, 1580030168, 3160060337, 3950075421, 4213413783, 4279248373, 4292415291, 4294609777] AS bounds
        SELECT
            bought.1 AS kind,
            sum(bought.2) AS made, sum(better * bought.2) AS better, sum(gained * bought.2) AS gained, sum(bought.3) AS paid, sum(bought.4) AS without_price,
            arrayMap(
                resample -> transform(roundDown(bitShiftRight(intHash64(lot * 200 + resample), 32), bounds), bounds, [0., 1., 2., 3., 4., 5., 6., 7.], 0.),
                range(200)
            ) AS weights
        FROM (
            SELECT
                cityHash64(run_id, unit) % 512 AS lot, max(improved) AS better, max(gain) AS gained,
                sumMapIf([model], [cost], [unpriced], [1], is_call) AS by_model,
                argMaxIf(model, timestamp, proposes) AS maker,
                arrayJoin(arrayConcat(
                    if(max(is_born), [(('mutation type', max(mutation_type)), sum(unpriced) = 0, sum(cost) * (sum(unpriced) = 0), sum(unpriced))], []),
                    arrayMap((one, dollars, missing) -> (('model', one), max(is_program) * (one = maker) * (missing = 0), dollars * (missing = 0), missing), by_model.1, by_model.2, by_model.3)
                )) AS bought
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
            GROUP BY run_id, unit
        )
        GROUP BY kind, lot
    )
    GROUP BY kind
)
