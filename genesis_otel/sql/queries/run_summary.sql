-- Summary of a run
--
-- A run in one row: how far it is, what it found, what it took.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    r.run_id AS run_id,
    r.task_name AS task_name,
    r.status AS status,
    r.start_time AS start_time,
    if(r.status = 'running', dateDiff('second', r.start_time, now64(3)), dateDiff('second', r.start_time, r.end_time)) AS seconds,
    (SELECT uniqExact(generation) FROM generations WHERE run_id = {run_id:String}) AS generations,
    (SELECT uniqExact(individual_id) FROM individuals WHERE run_id = {run_id:String}) AS individuals,
    (SELECT countIf(status != 'ok') FROM individuals WHERE run_id = {run_id:String}) AS failed_individuals,
    (SELECT maxOrNullIf(fitness_score, status = 'ok' AND isFinite(fitness_score)) FROM individuals WHERE run_id = {run_id:String}) AS best_score,
    (SELECT countIf(fitness_delta > 0) FROM code_lineages WHERE run_id = {run_id:String}) AS improvements,
    (SELECT count() FROM llm_logs WHERE run_id = {run_id:String}) AS llm_calls,
    (SELECT countIf(status != 'ok') FROM llm_logs WHERE run_id = {run_id:String}) AS failed_llm_calls,
    (SELECT sum(input_tokens) FROM llm_logs WHERE run_id = {run_id:String}) AS input_tokens,
    (SELECT sum(output_tokens) FROM llm_logs WHERE run_id = {run_id:String}) AS output_tokens,
    (SELECT sum(cost) FROM llm_logs WHERE run_id = {run_id:String}) AS llm_cost,
    (SELECT sum(total_cost) FROM generations WHERE run_id = {run_id:String}) AS generations_cost
FROM evolution_runs AS r
WHERE r.run_id = {run_id:String}
