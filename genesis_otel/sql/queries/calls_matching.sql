-- Search LLM calls
--
-- LLM calls, newest first, whose prompt or answer contains a text (case-insensitive), with the surrounding text. A call without a price has
-- no cost, and times that are unknown are NULL.
-- Messages are stored as JSON, in which `role` is in every list and `a/b` may be written `a\/b`: those that may have the text, as it is, as
-- JSON writes it, or because it is not plain ASCII, are parsed, and their texts are searched. What a tool was asked is searched as JSON.
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
-- text = : text to look for in the prompt or the answer
-- model = : only calls of this model
-- role = : only calls with this role
-- status = : only ok or only error
-- individual_id = : only calls of this individual
-- slower = 0: minimum duration in seconds; above 0, calls of unknown duration are left out
-- dearer = 0: minimum cost in USD
-- before = 0: only calls that began before this time, in milliseconds since 1970; 0 for all
-- limit = 100: maximum number of rows
WITH
    substring(toJSONString({text:String}), 2, -1) AS as_json,
    arrayDistinct([{text:String}, as_json, replaceAll(as_json, '\\/', '/')]) AS forms,
    if(multiSearchAnyCaseInsensitiveUTF8(messages, forms) OR match({text:String}, '[^ -~]'), messages, '') AS candidate,
    arrayMap(
        each -> if(
            JSONType(each) = 'Object',
            concat(
                if(JSONType(each, 'content') = 'String', JSONExtractString(each, 'content'), JSONExtractRaw(each, 'content')),
                ' ',
                JSONExtractRaw(each, 'parts')
            ),
            each
        ),
        JSONExtractArrayRaw(candidate)
    ) AS texts,
    arrayFirst(each -> multiSearchAnyCaseInsensitiveUTF8(each, forms), if(empty(texts), [candidate], texts)) AS said
SELECT
    timestamp,
    run_id,
    generation,
    individual_id,
    model,
    role,
    status,
    error,
    finish_reason,
    @took(llm_logs.execution_time) AS execution_time,
    @took(llm_logs.time_to_first_token) AS time_to_first_token,
    @call_cost() AS cost,
    input_tokens,
    output_tokens,
    if(
        {text:String} = '',
        substringUTF8(response, 1, 160),
        if(
            positionCaseInsensitiveUTF8(response, {text:String}) > 0,
            substringUTF8(response, greatest(1, toInt64(positionCaseInsensitiveUTF8(response, {text:String})) - 60), 160),
            substringUTF8(said, greatest(1, toInt64(multiSearchFirstPositionCaseInsensitiveUTF8(said, forms)) - 60), 160)
        )
    ) AS excerpt,
    trace_id,
    span_id
FROM llm_logs FINAL
WHERE ({run_id:String} = '' OR run_id = {run_id:String})
    AND ({model:String} = '' OR model = {model:String})
    AND ({role:String} = '' OR role = {role:String})
    AND ({status:String} = '' OR status = {status:String})
    AND (
        {individual_id:String} = ''
        OR (individual_id = {individual_id:String} AND run_id IN (SELECT run_id FROM llm_logs WHERE individual_id = {individual_id:String}))
    )
    AND ({slower:Float64} <= 0 OR @took(llm_logs.execution_time) >= {slower:Float64})
    AND ({dearer:Float64} = 0 OR (NOT llm_logs.unpriced AND llm_logs.cost >= {dearer:Float64}))
    AND ({before:Int64} = 0 OR timestamp < fromUnixTimestamp64Milli({before:Int64}))
    AND (
        {text:String} = ''
        OR positionCaseInsensitiveUTF8(response, {text:String}) > 0
        OR said != ''
    )
ORDER BY timestamp DESC, span_id
LIMIT {limit:UInt32}
