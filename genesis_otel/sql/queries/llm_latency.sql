-- LLM latency by model
--
-- Percentiles, in seconds, of the duration of calls, and of the time to first token where it is known.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT
    model,
    count() AS calls,
    countIf(status != 'ok') AS failed,
    quantile(0.5)(execution_time) AS p50,
    quantile(0.9)(execution_time) AS p90,
    quantile(0.99)(execution_time) AS p99,
    max(execution_time) AS longest,
    quantileOrNullIf(0.5)(time_to_first_token, time_to_first_token > 0) AS first_token_p50,
    quantileOrNullIf(0.99)(time_to_first_token, time_to_first_token > 0) AS first_token_p99
FROM llm_logs FINAL
WHERE {run_id:String} = '' OR run_id = {run_id:String}
GROUP BY model
ORDER BY p90 DESC, model
