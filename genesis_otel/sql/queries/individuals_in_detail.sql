-- Individuals in detail
--
-- Where each individual comes from, what it scored and gained, what changed, which models made it and what that cost. A
-- gain that was not recorded is the difference of the scores.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- individual_ids: their ids, e.g. ['a', 'b']
WITH known AS (
    SELECT individual_id, argMax(fitness_score, timestamp) AS score, argMax(status, timestamp) AS status
    FROM individuals
    WHERE run_id = {run_id:String}
    GROUP BY individual_id
)
SELECT
    i.individual_id AS individual_id,
    i.generation AS generation,
    i.mutation_type AS mutation_type,
    i.fitness_score AS fitness_score,
    i.combined_score AS combined_score,
    i.is_pareto AS is_pareto,
    i.status AS status,
    i.parent_id AS parent_id,
    multiIf(
        e.fitness_delta != 0, e.fitness_delta,
        p.status = 'ok' AND i.status = 'ok', i.fitness_score - p.score,
        0
    ) AS gain,
    e.edit_summary AS edit_summary,
    m.models AS models,
    i.api_cost + i.embed_cost + i.novelty_cost AS cost,
    i.timestamp AS timestamp,
    i.trace_id AS trace_id
FROM (
    SELECT *
    FROM individuals
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, individual_id)
    ORDER BY timestamp DESC
    LIMIT 1 BY individual_id
) AS i
LEFT JOIN (
    SELECT child_id, fitness_delta, edit_summary
    FROM code_lineages
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, child_id)
    ORDER BY position, timestamp
    LIMIT 1 BY child_id
) AS e ON e.child_id = i.individual_id
LEFT JOIN (
    SELECT individual_id, arraySort(groupUniqArray(toString(model))) AS models
    FROM llm_logs
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, individual_id) AND operation != 'embeddings'
    GROUP BY individual_id
) AS m ON m.individual_id = i.individual_id
LEFT JOIN known AS p ON p.individual_id = i.parent_id
ORDER BY i.generation, i.timestamp
