-- LLM latency by model
--
-- Percentiles, in seconds, of the duration of calls, and of the time to first token, each of the calls whose time is known; NULL if there
-- are none. Of `untimed` calls the duration is unknown.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT
    model,
    count() AS calls,
    countIf(status != 'ok') AS failed,
    quantile(0.5)(took) AS p50,
    quantile(0.9)(took) AS p90,
    quantile(0.99)(took) AS p99,
    max(took) AS longest,
    quantile(0.5)(first_token) AS first_token_p50,
    quantile(0.99)(first_token) AS first_token_p99,
    countIf(took IS NULL) AS untimed
FROM (
    SELECT model, status, @took(execution_time) AS took, @took(time_to_first_token) AS first_token
    FROM llm_logs FINAL
    WHERE {run_id:String} = '' OR run_id = {run_id:String}
)
GROUP BY model
ORDER BY p90 DESC NULLS LAST, model
