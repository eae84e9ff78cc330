-- Prompts of individuals
--
-- What models were asked and answered to make individuals, in order; long texts are truncated to `characters`. A call
-- without a price has no cost, and one of unknown duration no `execution_time`.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_ids: their ids, e.g. ['a', 'b']
-- characters = 20000: maximum length of each prompt, answer and thought
-- calls = 5: maximum number of calls per individual
SELECT
    individual_id,
    timestamp,
    model,
    role,
    status,
    error,
    @took(c.execution_time) AS execution_time,
    if(without_price, NULL, c.cost) AS cost,
    input_tokens,
    output_tokens,
    substringUTF8(messages, 1, {characters:UInt32}) AS messages,
    substringUTF8(response, 1, {characters:UInt32}) AS response,
    substringUTF8(thought, 1, {characters:UInt32}) AS thought
FROM (
    SELECT *, llm_logs.unpriced AS without_price
    FROM llm_logs
    WHERE run_id = {run_id:String} AND has({individual_ids:Array(String)}, individual_id) AND operation != 'embeddings'
    ORDER BY individual_id, timestamp, span_id, ingested_at DESC
    LIMIT 1 BY individual_id, span_id
) AS c
ORDER BY individual_id, timestamp, span_id
LIMIT {calls:UInt32} BY individual_id
