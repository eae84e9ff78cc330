-- Model yield by mutation type
--
-- What each model achieved with each mutation type: how many individuals, how many pairs of a child and a parent these are (`compared`), in how
-- many of them the child is better (`better`), how many beat all before them (`improvements`), the total gain over all before (`gain`), how many failed or are
-- incorrect, and what they cost in USD. The model is that of the last answered mutation call. `gain_per_dollar` is unknown if a call has no price.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    m.model AS model,
    i.mutation_type AS mutation_type,
    count() AS individuals,
    sum(e.pairs) AS compared,
    sum(e.beaten) AS better,
    better / nullIf(compared, 0) AS success_rate,
    countIf(i.improved) AS improvements,
    sum(i.gain) AS gain,
    countIf(i.outcome = 'failed') AS failed,
    countIf(i.outcome = 'incorrect') AS incorrect,
    sum(c.cost) AS cost,
    sum(c.unpriced) AS unpriced,
    if(unpriced = 0, gain / nullIf(cost, 0), NULL) AS gain_per_dollar
FROM (
    SELECT * FROM (@climb(run_id = {run_id:String})) WHERE NOT copied AND generation > 0 AND individual_id != ''
) AS i
INNER JOIN (
    SELECT individual_id, toString(argMax(model, timestamp)) AS model
    FROM llm_logs
    WHERE run_id = {run_id:String} AND individual_id != '' AND @proposes()
    GROUP BY individual_id
) AS m ON m.individual_id = i.individual_id
LEFT JOIN (
    SELECT child_id, @success() FROM (@edges(run_id = {run_id:String})) GROUP BY child_id
) AS e ON e.child_id = i.individual_id
LEFT JOIN (@cost_of_each(run_id = {run_id:String})) AS c ON c.individual_id = i.individual_id
GROUP BY model, mutation_type
ORDER BY gain DESC, individuals DESC, model, mutation_type
