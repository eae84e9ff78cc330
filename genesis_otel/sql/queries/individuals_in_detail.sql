-- Individuals in detail
--
-- Where each individual comes from, its score and its gain over its parent in the run's direction, what changed, which models made it, what
-- it cost in USD and how many of its calls have no price. Of one that was evaluated again, the gain is that of the last time; a gain that was
-- not recorded is computed as the difference of the scores.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_ids: their ids, e.g. ['a', 'b']
WITH (SELECT any(direction) FROM evolution_runs WHERE run_id = {run_id:String}) AS direction
SELECT
    i.individual_id AS individual_id,
    i.generation AS generation,
    i.mutation_type AS mutation_type,
    i.fitness_score AS fitness_score,
    i.combined_score AS combined_score,
    (i.generation, i.individual_id) IN (SELECT generation, individual_id FROM (@front(run_id = {run_id:String}))) AS is_pareto,
    i.outcome AS status,
    i.parent_id AS parent_id,
    if(
        i.outcome = 'ok' AND p.outcome IN ('', 'ok'),
        ifNull(e.gain, if(direction = 'min', -1, 1) * (i.fitness_score - p.fitness_score)),
        NULL
    ) AS gain,
    e.edit_summary AS edit_summary,
    m.models AS models,
    c.cost AS cost,
    c.unpriced AS unpriced,
    i.timestamp AS timestamp,
    i.trace_id AS trace_id
FROM (
    SELECT *
    FROM (@programs(run_id = {run_id:String}))
    WHERE has({individual_ids:Array(String)}, individual_id)
) AS i
LEFT JOIN (
    SELECT
        child_id, parent_id, edit_summary,
        if(direction = 'min', -1, 1) * (argMax(tuple(fitness_delta), timestamp) OVER (PARTITION BY child_id, parent_id)).1 AS gain
    FROM code_lineages
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, child_id)
    ORDER BY @edge_order()
    LIMIT 1 BY child_id
) AS e ON e.child_id = i.individual_id
LEFT JOIN (
    SELECT individual_id, arraySort(groupUniqArray(toString(model))) AS models
    FROM llm_logs
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, individual_id) AND operation != 'embeddings'
    GROUP BY individual_id
) AS m ON m.individual_id = i.individual_id
LEFT JOIN (@cost_of_each(run_id = {run_id:String})) AS c ON c.individual_id = i.individual_id AND NOT i.copied
LEFT JOIN (
    SELECT individual_id, toString(outcome) AS outcome, fitness_score FROM (@programs(run_id = {run_id:String}))
) AS p ON p.individual_id = if(e.parent_id = '', i.parent_id, e.parent_id)
