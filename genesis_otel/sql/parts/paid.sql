-- What runs paid, one row per run and place: the cost of the calls there (`called_there`), what individuals (`own_there`) and generations
-- (`rest_there`) report beyond it, and how many calls have no price. `tellers` are those who report something beyond.
-- A reported cost is compared with the calls that it includes, at the finest level possible: an individual's cost with its own calls;
-- if a generation's calls name no individual, with the generation's calls; if a run's calls name no generation, with all of them. So a
-- place is a generation, or -1 for a whole run.
-- Of an individual that was recorded more than once, the latest counts, as in `programs`. If that is in a later generation, like that of a
-- survivor, the earlier generation's total still includes its calls: a total is compared with the calls that name its generation, and with
-- those of its individuals that name none, or one before or after all in which the individual was recorded (`within_there`).
-- Only the innermost GROUP BY has a row per individual; windows over all of them, which sort them, took half of the time.
-- Differences below 1e-9 are rounding: sums of the same numbers in a different order.
--
-- runs: which, a condition on run_id
SELECT
    run_id, if(of_generations, number, -1) AS place,
    sum(called) AS called_there, sum(within) AS within_there,
    sum(unpriced) AS unpriced_there, sum(told) AS told_there, sum(whole) AS whole_there,
    max(is_by_name) AS by_name, groupArrayArray(tellers) AS tellers,
    multiIf(told_there = 0, 0, by_name, sum(more), greatest(0, told_there - called_there)) AS own_there,
    if(whole_there = 0, 0, greatest(0, whole_there - within_there - own_there)) AS rest_there
FROM (
    SELECT
        run_id, number, sum(u.called) AS called, sum(u.within) AS within, sum(u.unpriced) AS unpriced, sum(u.told) AS told,
        sum(u.whole) AS whole,
        sum((u.told > 0) * greatest(0, u.told - u.called)) AS more,
        max(individual_id != '' AND u.called > 0) AS is_by_name,
        groupArrayIf((individual_id, number, at, u.called, u.told, u.whole), individual_id = '' OR u.told - u.called > 1e-9) AS tellers,
        max(max(number >= 0 AND u.called > 0)) OVER of_run OR sum(called) OVER of_run = 0 AS of_generations
    FROM (
        SELECT
            run_id, individual_id, if(individual_id = '', named, 0) AS unnamed,
            greatest(max(called_for), argMax(named, told_at)) AS number,
            max(r.at) AS at, sum(r.called) AS called, sum(r.unpriced) AS unpriced, sum(r.whole) AS whole,
            if(max(last) < min(first) OR max(called_for) BETWEEN min(first) AND max(last), sum(r.within), sum(r.called)) AS within,
            if(individual_id = '', sum(r.told), argMax(r.told, told_at)) AS told
        FROM (
            SELECT
                run_id, individual_id, timestamp AS at, 0 AS told_at, ifNull(generation, -1) AS named, named AS called_for,
                2147483647 AS first, -1 AS last, if(isFinite(cost), cost, 0) AS called, if(named < 0, called, 0.) AS within,
                toUInt64(llm_logs.unpriced OR NOT isFinite(cost)) AS unpriced, 0. AS told, 0. AS whole
            FROM llm_logs FINAL
            WHERE @runs
            UNION ALL
            SELECT run_id, '', toDateTime64(0, 3), 0, assumeNotNull(generation) AS named, named, 2147483647, -1, 0., sumIf(cost, isFinite(cost)), 0, 0., 0.
            FROM llm_logs FINAL
            WHERE @runs AND generation >= 0
            GROUP BY run_id, generation
            UNION ALL
            SELECT
                run_id, individual_id, timestamp, if(@copied(), 1, greatest(2, toUnixTimestamp64Milli(timestamp))), generation, -1, generation, generation,
                0., 0., 0,
                if(@copied() OR NOT isFinite(api_cost + embed_cost + novelty_cost), 0., greatest(0., api_cost + embed_cost + novelty_cost)), 0.
            FROM individuals FINAL
            WHERE @runs
            UNION ALL
            SELECT run_id, '', timestamp, 0, generation, generation, 2147483647, -1, 0., 0., 0, 0., greatest(0., total_cost)
            FROM generations FINAL
            WHERE @runs AND isFinite(total_cost)
        ) AS r
        GROUP BY run_id, individual_id, unnamed
    ) AS u
    GROUP BY run_id, number
    WINDOW of_run AS (PARTITION BY run_id)
)
GROUP BY run_id, place
