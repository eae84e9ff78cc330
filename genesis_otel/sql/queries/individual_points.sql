-- Individuals as points
--
-- Every individual of a run with what can be drawn of it, oldest first: its score, cost in USD, where it comes from, and for
-- how many seconds the run had gone on. Once each, however often it was delivered.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- limit = 100000: how many, the newest of them
WITH (SELECT min(start_time) FROM evolution_runs WHERE run_id = {run_id:String}) AS began
SELECT
    individual_id,
    generation,
    greatest(0, dateDiff('millisecond', began, timestamp)) / 1000 AS seconds,
    if(isFinite(fitness_score) AND status = 'ok', fitness_score, NULL) AS score,
    status,
    mutation_type,
    is_pareto,
    api_cost + embed_cost + novelty_cost AS cost,
    parent_id,
    island,
    trace_id
FROM (
    SELECT *
    FROM (
        SELECT
            individual_id, generation, timestamp, fitness_score, status, mutation_type, is_pareto, api_cost, embed_cost,
            novelty_cost, parent_id, island, trace_id
        FROM individuals
        WHERE run_id = {run_id:String}
        ORDER BY timestamp DESC, individual_id
        LIMIT {limit:UInt32}
    )
    LIMIT 1 BY individual_id
)
ORDER BY timestamp, individual_id
