-- From spans to llm_logs, first: which spans are calls, what is read alike of all of them, and the short way of those in current names.

-- The engine analyses a view's SELECT anew with every insert, and only if rows have come to it: some 20 µs per function, constant
-- and column, at each place that names it. So the way of a call is cut into views, by tables that keep nothing (ENGINE = Null):
-- what is no call costs a filter, and numbered attributes and messages that are not plain are analysed where there are some. Inside
-- a SELECT, a column that is read more than once is one of an inner SELECT or of the table before: an alias is analysed anew at
-- each place that names it, and each lambda that reads a column of an inner SELECT, and each comparison beneath AND and OR, costs
-- a walk through all of that SELECT. Where that is all that an inner SELECT would be for, a lambda over an array of one costs less.
-- No lambda captures the map of attributes or a text: it would be copied for each element.

-- Spans that are calls. Every insert pays for this filter, so it does nothing else.
CREATE TABLE IF NOT EXISTS call_spans /*ON CLUSTER*/
(
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    ScopeName String,
    StatusCode LowCardinality(String),
    StatusMessage String,
    ResourceAttributes Map(LowCardinality(String), String),
    SpanAttributes Map(LowCardinality(String), String),
    Duration Int64,
    event_times Array(DateTime64(9)),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS call_spans_mv /*ON CLUSTER*/ TO call_spans AS
SELECT
    Timestamp, TraceId, SpanId, ParentSpanId, ScopeName, StatusCode, StatusMessage, ResourceAttributes, SpanAttributes,
    toInt64(Duration) AS Duration, Events.Timestamp AS event_times, Events.Name AS event_names, Events.Attributes AS event_attributes
FROM otel_traces
WHERE (
        SpanAttributes['gen_ai.operation.name'] IN (
            'chat', 'text_completion', 'generate_content', 'embeddings', 'embedding', 'completion',
            'acompletion', 'atext_completion', 'aembedding', 'responses', 'aresponses', 'anthropic_messages',
            'agenerate_content', 'generate_content_stream', 'agenerate_content_stream',
            'chat.completions', 'chat.streaming_completions', 'text_completions', 'text.completions', 'text.streaming_completions'
        )
        OR SpanAttributes['llm.request.type'] IN (
            'chat', 'completion', 'embedding', 'acompletion', 'text_completion', 'atext_completion', 'aembedding', 'responses',
            'aresponses', 'anthropic_messages', 'generate_content', 'agenerate_content', 'generate_content_stream', 'agenerate_content_stream'
        )
        OR SpanAttributes['openinference.span.kind'] IN ('LLM', 'EMBEDDING')
        OR (
            SpanAttributes['gen_ai.operation.name'] = ''
            AND SpanAttributes['gen_ai.system'] != ''
            AND SpanAttributes['gen_ai.request.model'] != ''
        )
    )
    AND (
        SpanAttributes['genesis.run.id'] != ''
        OR ResourceAttributes['genesis.run.id'] != ''
        OR SpanAttributes['genesis.llm.cost_source'] != ''
        OR ScopeName = 'genesis_otel'
    )
    -- Another span has the row of the same call (_ship/same_call.py).
    AND SpanAttributes['genesis.llm.within'] = ''
    AND SpanAttributes['genesis.record'] = '';

-- What is read alike of every call: what it was for, and its messages, if they are plain.
CREATE TABLE IF NOT EXISTS llm_read /*ON CLUSTER*/
(
    id UUID,
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    ScopeName String,
    StatusCode LowCardinality(String),
    StatusMessage String,
    a Map(LowCardinality(String), String),
    event_times Array(DateTime64(9)),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String)),
    execution_time Float64,
    metadata String,
    run_id String,
    generation Nullable(Int32),
    individual_id String,
    asked_json String,
    asked Array(Tuple(role String, content String)),
    asked_is_plain Bool,
    answered_json String,
    plain_response String,
    plain_thoughts Array(String),
    answered_is_plain Bool,
    is_told_simply Bool
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_read_mv /*ON CLUSTER*/ TO llm_read AS
WITH
    if(toUnixTimestamp64Nano(told.Timestamp) = 0, 0, greatest(Duration, 0)) AS took,
    SpanAttributes AS a,
    a['gen_ai.input.messages'] AS asked_json,
    JSONExtract(asked_json, 'Array(Tuple(role String, parts Array(Tuple(type String, content String))))') AS asked_typed,
    a['gen_ai.output.messages'] AS answered_json,
    JSONExtract(answered_json, 'Array(Tuple(role String, parts Array(Tuple(type String, content String))))') AS answered_typed
SELECT
    reinterpretAsUUID(MD5(concat(TraceId, SpanId))) AS id,
    -- A start of 0 is unknown: such a call is at its end, and so is its first token.
    Timestamp + toIntervalNanosecond(greatest(Duration, 0) - took) AS Timestamp,
    TraceId, SpanId, ParentSpanId, ScopeName, StatusCode, StatusMessage,
    a, event_times, event_names, event_attributes,
    took / 1e9 AS execution_time,
    -- Without a metadata attribute: everything on the span that is not content, sorted, since a collector sorts and we don't.
    if(a['genesis.llm.metadata'] != '', a['genesis.llm.metadata'], toJSONString(mapSort(mapApply(
        (key, value) -> (if(key = 'genesis.place', 'place', key), value),
        mapFilter((key, value) -> NOT match(key, '^(gen_ai\\.(prompt|completion|input|output|system_instructions|tool\\.definitions)|llm\\.(input_messages|output_messages|prompts|tools)|input\\.|output\\.|embedding\\.embeddings|(events|request_data|response_data)$|genesis\\.(record|run|individual|llm)\\.)'), a)
    )))) AS metadata,
    if(a['genesis.run.id'] != '', a['genesis.run.id'], ResourceAttributes['genesis.run.id']) AS run_id,
    toInt32OrNull(if(
        a['genesis.generation.number'] != '', a['genesis.generation.number'], ResourceAttributes['genesis.generation.number']
    )) AS generation,
    if(
        a['genesis.individual.id'] != '', a['genesis.individual.id'], ResourceAttributes['genesis.individual.id']
    ) AS individual_id,
    asked_json,
    answered_json,
    arrayMap((role, parts) -> (role, arrayStringConcat(parts.2, '\n')), asked_typed) AS asked,
    arrayStringConcat(
        arrayMap((role, parts) -> arrayStringConcat(arrayFilter((type, text) -> type = 'text', parts).2, '\n'), answered_typed),
        '\n'
    ) AS plain_response,
    arrayFilter((type, text) -> type != 'text', arrayFlatten(answered_typed.2)).2 AS plain_thoughts,
    -- Messages that are plain: of known roles, all parts are texts (in an answer also thoughts), none is empty, and each content
    -- is a string in the JSON: typed extraction gives numbers and objects as text, too.
    notEmpty(asked_typed)
        AND countSubstrings(asked_json, '"content":"') + countSubstrings(asked_json, '"content": "') = length(arrayFlatten(asked_typed.2))
        AND NOT has(arrayFlatten(asked_typed.2).2, '')
        AND hasAll(['system', 'developer', 'user', 'assistant', 'model', 'tool'], asked_typed.1)
        AND arrayAll(types -> notEmpty(types) AND hasAll(['text'], types), asked_typed.2.1) AS asked_is_plain,
    notEmpty(answered_typed)
        AND countSubstrings(answered_json, '"content":"') + countSubstrings(answered_json, '"content": "') = length(arrayFlatten(answered_typed.2))
        AND NOT hasAny(arrayFlatten(answered_typed.2).2, ['', '[]'])
        AND arrayAll(types -> has(types, 'text') AND hasAll(['text', 'reasoning', 'thinking'], types), answered_typed.2.1) AS answered_is_plain,
    empty(event_names)
        AND ScopeName NOT IN (
            'opentelemetry.instrumentation.bedrock', 'openlit', 'openlit.otel.tracing',
            'opentelemetry.instrumentation.google_generativeai', 'opentelemetry.instrumentation.vertexai'
        )
        AND NOT @status_is_error()
        AND a['genesis.llm.cost_source'] != ''
        AND hasAll([
            'genesis.run.id', 'genesis.generation.number', 'genesis.individual.id', 'genesis.place', 'genesis.llm.role',
            'genesis.llm.cost_source', 'genesis.llm.metadata', 'gen_ai.operation.name', 'gen_ai.provider.name', 'server.address',
            'gen_ai.request.model', 'gen_ai.response.model', 'gen_ai.response.id', 'gen_ai.response.finish_reasons',
            'gen_ai.response.time_to_first_chunk', 'gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.usage.cost',
            'gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.cache_read.input_tokens',
            'gen_ai.usage.cache_write.input_tokens', 'gen_ai.usage.reasoning.output_tokens'
        ], mapKeys(a)) AS is_told_simply
FROM call_spans
AS told;

-- Calls in current names alone, whoever recorded them, that passed through a process of ours (it notes where the cost comes from), without
-- events or an error and with plain messages: each of their attributes has one name, and there is nothing to find out about their token
-- counts. Their rows are those that the views after this one would make of them, for half of the cost.
CREATE TABLE IF NOT EXISTS simple_calls /*ON CLUSTER*/ AS llm_read
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS simple_calls_mv /*ON CLUSTER*/ TO simple_calls AS
SELECT
    id, Timestamp, TraceId, SpanId, ParentSpanId, a, execution_time, metadata, run_id, generation, individual_id,
    asked, plain_response, plain_thoughts
FROM llm_read
WHERE @told_simply();

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_simple_mv /*ON CLUSTER*/ TO llm_logs AS
SELECT
    id,
    toDateTime64(Timestamp, 3) AS timestamp,
    if(a['gen_ai.request.model'] != '', a['gen_ai.request.model'], response_model) AS model,
    if(cost_told > 0 AND isFinite(cost_told), cost_told, 0) AS cost,
    execution_time,
    metadata,
    run_id,
    generation,
    individual_id,
    a['genesis.llm.role'] AS role,
    if((@provider_at(host) AS known) != '', known, a['gen_ai.provider.name']) AS provider,
    @operation_of(a['gen_ai.operation.name']) AS operation,
    response_model,
    if((arrayStringConcat(JSONExtract(finish_reasons, 'Array(String)'), ',') AS reasons) != '', reasons, finish_reasons) AS finish_reason,
    'ok' AS status,
    '' AS error,
    cached_tokens,
    cache_write_tokens,
    toFloat64OrZero(replaceOne(a['gen_ai.response.time_to_first_chunk'], 'json: unsupported value: ', '')) AS time_to_first_token,
    a['genesis.llm.cost_source'] AS cost_source,
    TraceId AS trace_id,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    a['gen_ai.response.id'] AS response_id,
    input_told + is_counted * if(cached_tokens + cache_write_tokens > input_told, cached_tokens + cache_write_tokens, 0) AS input_tokens,
    output_told + is_counted * if(reasoning_tokens > output_told, reasoning_tokens, 0) AS output_tokens,
    reasoning_tokens,
    if(notEmpty(asked), toJSONString(asked), '') AS messages,
    plain_response AS response,
    arrayStringConcat(arrayFilter(text -> text != '', plain_thoughts), '\n') AS thought
FROM
(
    SELECT
        id, Timestamp, TraceId, SpanId, ParentSpanId, a, execution_time, metadata, run_id, generation, individual_id,
        asked, plain_response, plain_thoughts,
        @host_of(a['server.address']) AS host,
        a['gen_ai.response.model'] AS response_model,
        a['gen_ai.response.finish_reasons'] AS finish_reasons,
        toFloat64OrZero(a['gen_ai.usage.cost']) AS cost_told,
        toUInt64OrZero(a['gen_ai.usage.input_tokens']) AS input_told,
        toUInt64OrZero(a['gen_ai.usage.output_tokens']) AS output_told,
        toUInt64OrZero(a['gen_ai.usage.cache_read.input_tokens']) AS cached_tokens,
        toUInt64OrZero(a['gen_ai.usage.cache_write.input_tokens']) AS cache_write_tokens,
        toUInt64OrZero(a['gen_ai.usage.reasoning.output_tokens']) AS reasoning_tokens,
        greatest(input_told, output_told, cached_tokens, cache_write_tokens, reasoning_tokens) < @too_many() AS is_counted
    FROM simple_calls
);
