-- LLM costs by model
--
-- Calls, cost in USD and time in seconds of each model. `unpriced` calls have no price and are not included in the sums and means of costs;
-- of `untimed` calls the duration is unknown, and they are not included in those of times.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT
    model,
    count() AS calls,
    sum(cost) AS total_cost,
    avgOrNullIf(cost, NOT without_price) AS avg_cost_per_call,
    avg(took) AS avg_time,
    sum(took) AS total_time_seconds,
    sum(input_tokens) AS input_tokens,
    sum(cached_tokens) AS cached_tokens,
    sum(output_tokens) AS output_tokens,
    countIf(without_price) AS unpriced,
    countIf(took IS NULL) AS untimed
FROM (SELECT *, llm_logs.unpriced AS without_price, @took(execution_time) AS took FROM llm_logs FINAL WHERE {run_id:String} = '' OR run_id = {run_id:String})
GROUP BY model
ORDER BY total_cost DESC, model
