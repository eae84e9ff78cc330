-- Individuals, each once and by its latest word, however often it was delivered. `outcome` keeps those that failed apart from
-- those that ran and are incorrect; `copied` marks an individual that was only brought somewhere else, as migrants are: it is
-- no discovery and cost nothing. `score` is the one that counts: NULL for whoever failed, is incorrect, was copied or has none.
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
ORDER BY timestamp DESC
LIMIT 1 BY run_id, if(individual_id = '', span_id, individual_id)
