-- Individuals, each once by the row that counts (`latest`), however often it was delivered. `outcome` separates those that failed
-- from those that ran but are incorrect; `copied` marks an individual that is only a copy, like a migrant: it is not a discovery and cost
-- nothing.
-- `score` is the one that counts: NULL for individuals that failed, are incorrect, are copies, or have none.
--
-- runs: which, a condition on run_id
SELECT
    run_id, individual_id, generation, timestamp, parent_id, mutation_type, island, cell, is_pareto, correct, code_hash, code_size, trace_id,
    api_cost, embed_cost, novelty_cost,
    fitness_score, combined_score, metrics, error,
    @copied() AS copied,
    multiIf(status IN ('ok', 'incorrect'), status, 'failed') AS outcome,
    if(outcome = 'ok' AND NOT copied AND isFinite(fitness_score), fitness_score, NULL) AS score
FROM individuals
WHERE @runs
ORDER BY run_id, @latest() DESC
LIMIT 1 BY run_id, if(individual_id = '', span_id, individual_id)
