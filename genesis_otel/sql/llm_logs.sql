-- llm_logs: one row per LLM call, from any instrumentation. Attribute names in use, in the order in which they are read:
-- OpenTelemetry's current ones, its older ones, traceloop's, OpenInference's. An LLM call is recognised by its attributes, not
-- by its span kind (OpenInference's spans are INTERNAL). Content that cannot be read as messages is kept unchanged.
-- A landing table may hold the LLM calls of a whole company. Those of a search have its run id, on the span or on the resource,
-- or passed through a process that records searches, which notes where the cost comes from.

CREATE TABLE IF NOT EXISTS llm_logs /*ON CLUSTER*/
(
    id UUID,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    model LowCardinality(String),
    messages String CODEC(ZSTD(3)),
    response String CODEC(ZSTD(3)),
    cost Float64,
    execution_time Float64,
    metadata String CODEC(ZSTD(3)),
    thought String DEFAULT '' CODEC(ZSTD(3)),
    run_id String DEFAULT '',
    generation Nullable(Int32) DEFAULT NULL,
    individual_id String DEFAULT '' CODEC(ZSTD(1)),
    role LowCardinality(String) DEFAULT '',
    provider LowCardinality(String) DEFAULT '',
    operation LowCardinality(String) DEFAULT '',
    response_model LowCardinality(String) DEFAULT '',
    finish_reason LowCardinality(String) DEFAULT '',
    status LowCardinality(String) DEFAULT 'ok',
    error String DEFAULT '' CODEC(ZSTD(3)),
    input_tokens UInt64 DEFAULT 0,
    output_tokens UInt64 DEFAULT 0,
    cached_tokens UInt64 DEFAULT 0,
    cache_write_tokens UInt64 DEFAULT 0,
    reasoning_tokens UInt64 DEFAULT 0,
    time_to_first_token Float64 DEFAULT 0,
    cost_source LowCardinality(String) DEFAULT '',
    unpriced Bool ALIAS cost = 0 AND cost_source IN ('', 'unknown-model', 'no-tokens'),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    parent_span_id String DEFAULT '' CODEC(ZSTD(1)),
    response_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_timestamp timestamp TYPE minmax GRANULARITY 1,
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, timestamp, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

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
        AND StatusCode NOT IN ('Error', 'STATUS_CODE_ERROR')
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
    input_told + if(cached_tokens + cache_write_tokens > input_told, cached_tokens + cache_write_tokens, 0) AS input_tokens,
    output_told + if(reasoning_tokens > output_told, reasoning_tokens, 0) AS output_tokens,
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
        toUInt64OrZero(a['gen_ai.usage.reasoning.output_tokens']) AS reasoning_tokens
    FROM simple_calls
);

-- All others.
CREATE TABLE IF NOT EXISTS other_calls /*ON CLUSTER*/ AS llm_read
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS other_calls_mv /*ON CLUSTER*/ TO other_calls AS
SELECT
    id, Timestamp, TraceId, SpanId, ParentSpanId, ScopeName, StatusCode, StatusMessage, a, event_times, event_names, event_attributes,
    execution_time, metadata, run_id, generation, individual_id,
    asked_json, asked, asked_is_plain, answered_json, plain_response, plain_thoughts, answered_is_plain
FROM llm_read
WHERE NOT (@told_simply());

-- Of these, what is read more than once, as it came.
CREATE TABLE IF NOT EXISTS llm_spans /*ON CLUSTER*/
(
    id UUID,
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    ScopeName String,
    StatusMessage String,
    a Map(LowCardinality(String), String),
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
    first_token DateTime64(9),
    exception Map(String, String),
    is_failed Bool,
    named Map(String, String),
    content_attributes Map(LowCardinality(String), String),
    system_json String,
    system_text String,
    answer String,
    operation_told String,
    openinference_kind String,
    request_type String,
    finish_reasons String,
    cost_source_told String,
    error_type_told String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_spans_mv /*ON CLUSTER*/ TO llm_spans AS
WITH
    [
        'gen_ai.request.model', 'llm.request.model', 'llm.request.model_name',
        'gen_ai.response.model', 'llm.response.model', 'llm.response.model_name', 'llm.model_name', 'embedding.model_name',
        'gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system',
        'server.address', 'gen_ai.openai.api_base', 'openai.api_base', 'llm.openai.api_base', 'url.full', 'http.url',
        'gen_ai.completion.0.finish_reason', 'llm.finish_reason', 'anthropic.message.stop_reason', 'gen_ai.response.finish_reason',
        'gen_ai.response.time_to_first_chunk', 'gen_ai.server.time_to_first_token', 'gen_ai.client.operation.time_to_first_chunk',
        'gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.usage.prompt_tokens', 'llm.token_count.prompt',
        'gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'llm.usage.completion_tokens', 'llm.token_count.completion',
        'gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens', 'llm.token_count.prompt_details.cache_read',
        'llm.token_count.prompt_details.cache_input', 'gen_ai.usage.prompt_tokens_details.cache_read', 'gen_ai.usage.details.cache_read_tokens',
        'gen_ai.usage.details.cache_read_input_tokens', 'gen_ai.usage.details.cached_tokens', 'gen_ai.usage.details.cached_content_tokens',
        'gen_ai.usage.cache_write.input_tokens', 'gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_creation_input_tokens', 'llm.token_count.prompt_details.cache_write',
        'gen_ai.usage.cache_write_input_tokens', 'gen_ai.usage.prompt_tokens_details.cache_write', 'gen_ai.usage.details.cache_write_tokens',
        'gen_ai.usage.details.cache_creation_input_tokens',
        'gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens', 'gen_ai.usage.details.reasoning_tokens', 'llm.usage.reasoning_tokens', 'llm.token_count.completion_details.reasoning',
        'gen_ai.usage.completion_tokens_details.reasoning', 'gen_ai.usage.details.thoughts_tokens',
        'gen_ai.usage.total_tokens', 'llm.usage.total_tokens', 'llm.token_count.total',
        'gen_ai.cost.total_cost', 'litellm.cost.total',
        'gen_ai.usage.cost', 'llm.cost.total', 'gen_ai.usage.total_cost', 'gen_ai.usage.cost_usd', 'llm.usage.total_cost', 'operation.cost'
    ] AS names,
    [
        'request_model', 'request_model', 'request_model',
        'response_model', 'response_model', 'response_model', 'response_model', 'response_model',
        'provider', 'provider', 'provider', 'provider',
        'server', 'server', 'server', 'server', 'server', 'server',
        'finish_reason', 'finish_reason', 'finish_reason', 'finish_reason',
        'first_chunk', 'first_chunk', 'first_chunk',
        'input', 'input', 'input', 'input',
        'output', 'output', 'output', 'output',
        'cache_read', 'cache_read', 'cache_read', 'cache_read', 'cache_read', 'cache_read', 'cache_read', 'cache_read', 'cache_read',
        'cache_write', 'cache_write', 'cache_write', 'cache_write', 'cache_write', 'cache_write', 'cache_write', 'cache_write',
        'reasoning', 'reasoning', 'reasoning', 'reasoning', 'reasoning', 'reasoning', 'reasoning',
        'total', 'total', 'total',
        'cost_of_litellm', 'cost_of_litellm',
        'cost', 'cost', 'cost', 'cost', 'cost', 'cost'
    ] AS meanings
SELECT
    id, Timestamp, TraceId, SpanId, ParentSpanId, ScopeName, StatusMessage, a, event_names, event_attributes,
    execution_time, metadata, run_id, generation, individual_id,
    asked_json, asked, asked_is_plain, answered_json, plain_response, plain_thoughts, answered_is_plain,
    event_times[indexOf(event_names, 'First Token Stream Event')] AS first_token,
    event_attributes[indexOf(event_names, 'exception')] AS exception,
    StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR has(event_names, 'exception') AS is_failed,
    -- What has several names, by one name of ours; the first that is not empty, in the order of the names, is found. Of costs, the
    -- first that is a finite number above 0: instrumentations tell 0 of models that they have no price for.
    mapApply(
        (key, value) -> (
            multiIf(
                NOT startsWith(transform(key, names, meanings, '') AS meaning, 'cost'), meaning,
                (toFloat64OrZero(value) AS amount) > 0 AND isFinite(amount), meaning,
                toFloat64OrNull(value) = 0, 'free',
                ''
            ),
            value
        ),
        mapSort((key, value) -> indexOf(names, key), mapFilter((key, value) -> value != '' AND has(names, key), a))
    ) AS named,
    mapFilter(
        (key, value) -> match(key, '^(gen_ai[.](prompt|completion)|llm[.](input|output)_messages[.]|((input|output)[.]value|events|request_data|response_data)$)'), a
    ) AS content_attributes,
    a['gen_ai.system_instructions'] AS system_json,
    arrayStringConcat(arrayMap(part -> JSONExtractString(part, 'content'), JSONExtractArrayRaw(system_json)), '\n') AS system_text,
    -- What a model answers may be JSON, too, and has no model's name beside an id.
    if(
        a['output.mime_type'] = 'application/json' AND JSONExtractString(a['output.value'], 'model') != '', a['output.value'], ''
    ) AS answer,
    a['gen_ai.operation.name'] AS operation_told,
    a['openinference.span.kind'] AS openinference_kind,
    a['llm.request.type'] AS request_type,
    a['gen_ai.response.finish_reasons'] AS finish_reasons,
    a['genesis.llm.cost_source'] AS cost_source_told,
    a['error.type'] AS error_type_told
FROM other_calls;

-- What they tell, in our types: what is read more than once of that.
CREATE TABLE IF NOT EXISTS llm_told /*ON CLUSTER*/
(
    id UUID,
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    ScopeName String,
    a Map(LowCardinality(String), String),
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
    named Map(String, String),
    content_attributes Map(LowCardinality(String), String),
    system_json String,
    answer String,
    operation_told String,
    openinference_kind String,
    request_type String,
    finish_reasons String,
    cost_source_told String,
    system Array(String),
    host String,
    charged Float64,
    time_to_first_token Float64,
    input_told UInt64,
    output_told UInt64,
    read_told UInt64,
    write_told UInt64,
    reasoning_told UInt64,
    total_told UInt64,
    reasoning_is_rest Bool,
    cost_of_litellm Float64,
    cost_told Float64,
    is_told_free Bool,
    is_error Bool,
    error_type String,
    error_message String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_told_mv /*ON CLUSTER*/ TO llm_told AS
SELECT
    id, Timestamp, TraceId, SpanId, ParentSpanId, ScopeName, a, event_names, event_attributes, execution_time, metadata, run_id,
    generation, individual_id, asked_json, asked, asked_is_plain, answered_json, plain_response, plain_thoughts,
    answered_is_plain, named, content_attributes, system_json, answer, operation_told, openinference_kind,
    request_type, finish_reasons, cost_source_told,
    -- The system's instructions, where there are any; those that cannot be read are a message only beside others.
    multiIf(
        system_text != '', [system_text], asked_json IN ('', '[]') OR system_json IN ('', '[]'), [], [system_json]
    ) AS system,
    @host_of(arrayFirst(text -> text != '', [
        named['server'], extract(a['hidden_params'], '[\'"]api_base[\'"]: ?[\'"]?([^\'",}]+)')
    ])) AS host,
    -- What the call cost, as it was told: the provider's own word first.
    JSONExtractFloat(answer, 'usage', 'cost') + if(
        JSONExtractBool(answer, 'usage', 'is_byok'),
        JSONExtractFloat(answer, 'usage', 'cost_details', 'upstream_inference_cost'),
        0
    ) AS charged,
    if(
        (named['first_chunk'] AS first_chunk) = '' AND has(event_names, 'First Token Stream Event'),
        greatest(toFloat64(dateDiff('nanosecond', Timestamp, first_token)) / 1e9, 0),
        toFloat64OrZero(replaceOne(first_chunk, 'json: unsupported value: ', ''))
    ) AS time_to_first_token,
    toUInt64OrZero(named['input']) AS input_told,
    toUInt64OrZero(named['output']) AS output_told,
    toUInt64OrZero(named['cache_read']) AS read_told,
    toUInt64OrZero(named['cache_write']) AS write_told,
    toUInt64OrZero(named['reasoning']) AS reasoning_told,
    toUInt64OrZero(named['total']) AS total_told,
    -- Google's instrumentations tell the tokens of a model's thoughts in the total alone.
    reasoning_told = 0
        AND ScopeName IN ('opentelemetry.instrumentation.google_generativeai', 'opentelemetry.instrumentation.vertexai') AS reasoning_is_rest,
    arrayFirst(cost -> cost > 0 AND isFinite(cost), [
        toFloat64OrZero(named['cost_of_litellm']),
        toFloat64OrZero(extract(a['hidden_params'], '[\'"]response_cost[\'"]: ?[\'"]?([^\'",}]+)'))
    ]) AS cost_of_litellm,
    toFloat64OrZero(named['cost']) AS cost_told,
    mapContains(named, 'free') AS is_told_free,
    is_failed OR error_type_told != '' AS is_error,
    if(error_type_told != '', error_type_told, exception['exception.type']) AS error_type,
    if(exception['exception.message'] != '', exception['exception.message'], StatusMessage) AS error_message
FROM llm_spans;

-- Calls as rows, all but their messages: those are plain, or there are none, or they are still to be read.
CREATE TABLE IF NOT EXISTS llm_calls /*ON CLUSTER*/
(
    id UUID,
    timestamp DateTime64(3),
    model LowCardinality(String),
    cost Float64,
    execution_time Float64,
    metadata String,
    run_id String,
    generation Nullable(Int32),
    individual_id String,
    role LowCardinality(String),
    provider LowCardinality(String),
    operation LowCardinality(String),
    response_model LowCardinality(String),
    finish_reason LowCardinality(String),
    status LowCardinality(String),
    error String,
    tokens Tuple(UInt64, UInt64, UInt64),
    cached_tokens UInt64,
    cache_write_tokens UInt64,
    time_to_first_token Float64,
    cost_source LowCardinality(String),
    trace_id String,
    span_id String,
    parent_span_id String,
    response_id String,
    plain_messages String,
    plain_response String,
    plain_thoughts Array(String),
    is_read Bool,
    asked_json String,
    answered_json String,
    system Array(String),
    system_json String,
    content_attributes Map(LowCardinality(String), String),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String)),
    openinference_kind String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_calls_mv /*ON CLUSTER*/ TO llm_calls AS
SELECT
    id,
    toDateTime64(Timestamp, 3) AS timestamp,
    arrayFirst(text -> text != '', [
        named['request_model'],
        JSONExtractString(a['llm.invocation_parameters'], 'model'),
        JSONExtractString(a['embedding.invocation_parameters'], 'model'),
        named['response_model']
    ]) AS model,
    -- What LiteLLM answers from its own cache costs nothing, though it tells the tokens, and at times the first answer's cost.
    multiIf(lower(a['litellm.cache_hit']) = 'true', 0, charged > 0, charged, cost_of_litellm > 0, cost_of_litellm, cost_told) AS cost,
    execution_time,
    metadata,
    run_id,
    generation,
    individual_id,
    a['genesis.llm.role'] AS role,
    -- Whom the call went to: by the host, where it is a known one (_store/providers.py), else as the instrumentation names it.
    arrayFirst(text -> text != '', [
        @provider_at(host),
        named['provider']
    ]) AS provider,
    @operation_of(arrayFirst(text -> text != '', [
        operation_told, if(openinference_kind = 'EMBEDDING', 'embeddings', ''), request_type, 'chat'
    ])) AS operation,
    named['response_model'] AS response_model,
    arrayFirst(text -> text != '', [
        arrayStringConcat(JSONExtract(finish_reasons, 'Array(String)'), ','), finish_reasons, named['finish_reason']
    ]) AS finish_reason,
    if(is_error, 'error', 'ok') AS status,
    if(is_error, concat(error_type, if(error_type = '' OR error_message = '', '', ': '), error_message), '') AS error,
    -- Token counts by OpenTelemetry's rule (_store/tokens.py): the cached tokens that stand beside the input, all reasoning tokens,
    -- and those of them that stand beside the output.
    arrayMap(
        (beside, rest) -> (
            input_told + beside,
            output_told + if(
                (if(reasoning_is_rest, rest, reasoning_told) AS reasoning_tokens) > output_told OR rest >= reasoning_tokens, reasoning_tokens, 0
            ),
            reasoning_tokens
        ),
        arrayMap(
            (cache, rest) -> if(
                cache > input_told
                OR ScopeName IN ('opentelemetry.instrumentation.bedrock')
                OR (ScopeName IN ('openlit', 'openlit.otel.tracing') AND positionCaseInsensitive(named['provider'], 'anthropic') > 0)
                OR rest = cache
                OR rest = cache + reasoning_told,
                (cache, toUInt64(rest - least(cache, rest))),
                (toUInt64(0), rest)
            ),
            [read_told + write_told],
            [toUInt64(greatest(total_told, input_told + output_told) - input_told - output_told)]
        )
    )[1] AS tokens,
    read_told AS cached_tokens,
    write_told AS cache_write_tokens,
    time_to_first_token,
    multiIf(
        cost_source_told != '', cost_source_told,
        charged > 0, 'openrouter',
        cost_of_litellm > 0 OR lower(a['litellm.cache_hit']) = 'true', 'litellm',
        cost_told > 0 OR (is_told_free AND (ScopeName = 'genesis_otel' OR input_told + output_told = 0)), 'told',
        ''
    ) AS cost_source,
    TraceId AS trace_id,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    -- OpenInference has it in the answer alone.
    arrayFirst(text -> text != '', [a['gen_ai.response.id'], JSONExtractString(answer, 'id')]) AS response_id,
    if(
        asked_is_plain,
        toJSONString(CAST(
            arrayConcat(arrayMap(text -> ('system', text), system), asked), 'Array(Tuple(role String, content String))'
        )),
        ''
    ) AS plain_messages,
    if(answered_is_plain, plain_response, '') AS plain_response,
    if(answered_is_plain, plain_thoughts, []) AS plain_thoughts,
    empty(content_attributes)
        AND NOT hasAny(event_names, ['gen_ai.content.prompt', 'gen_ai.content.completion', 'gen_ai.choice'])
        AND (asked_is_plain OR (empty(asked_json) AND empty(system_json)))
        AND (answered_is_plain OR empty(answered_json)) AS is_read,
    asked_json, answered_json,
    -- Some tell them among the messages, too.
    if(has(asked, ('system', system[1])), [], system) AS system,
    system_json, content_attributes, event_names, event_attributes, openinference_kind
FROM llm_told;

-- Calls whose messages are still to be read.
CREATE TABLE IF NOT EXISTS llm_unread /*ON CLUSTER*/ AS llm_calls
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_unread_mv /*ON CLUSTER*/ TO llm_unread AS
SELECT
    @called(),
    tokens, plain_messages, plain_response, plain_thoughts, asked_json, answered_json, system, system_json,
    content_attributes, event_names, event_attributes, openinference_kind
FROM llm_calls
WHERE NOT is_read;

-- All kinds of messages become alike as early as possible, so that one expression makes JSON and texts of them, and are then looked up
-- by their kind. Text parts make the content; other parts, and a text that the engine cannot decode, stay in the JSON as they came.
CREATE MATERIALIZED VIEW IF NOT EXISTS llm_logs_parsed_mv /*ON CLUSTER*/ TO llm_logs AS
SELECT
    @called(),
    tokens.1 AS input_tokens,
    tokens.2 AS output_tokens,
    tokens.3 AS reasoning_tokens,
    -- One list of candidates: what an `if` evaluates only where it is needed is evaluated there once for each place that names it.
    arrayFirst(text -> text NOT IN ('', '[]'), [
        plain_messages,
        if(JSONType(asked_json) = 'Array', '', asked_json),
        read['asked'].1,
        read['gen_ai.prompt.'].1,
        content_attributes['gen_ai.prompt'],
        read['gen_ai.content.prompt'].2,
        read['.message'].1,
        read['llm.input_messages.'].1,
        content_attributes['input.value'],
        JSONExtractRaw(content_attributes['request_data'], 'messages'),
        content_attributes['request_data'],
        system_json
    ]) AS messages,
    arrayFirst(text -> text NOT IN ('', '[]'), [
        plain_response,
        read['answered'].2,
        answered_json,
        read['gen_ai.completion.'].2,
        read['gen_ai.completion.'].1,
        content_attributes['gen_ai.completion'],
        read['gen_ai.content.completion'].2,
        read['gen_ai.choice'].2,
        JSONExtractString(content_attributes['response_data'], 'message', 'content'),
        JSONExtractString(content_attributes['response_data'], 'combined_chunk_content'),
        content_attributes['response_data'],
        read['llm.output_messages.'].2,
        read['llm.output_messages.'].1,
        -- Of an embedding the output is the vector.
        if(openinference_kind = 'EMBEDDING', '', content_attributes['output.value'])
    ]) AS response,
    arrayStringConcat(
        arrayFilter(text -> text != '', arrayConcat(plain_thoughts, read['answered'].3, read['llm.output_messages.'].3)), '\n'
    ) AS thought
FROM
(
    WITH
        -- Messages as JSON that are not plain: (kind, JSON, parts). A part is (what it is, value, JSON).
        arrayFlatten(arrayMap(
            (kind, messages) -> arrayMap(
                message -> (kind, message, arrayMap(
                    part -> (
                        transform(JSONExtractString(part, 'type'), ['text', 'reasoning', 'thinking'], ['text', 'thought', 'thought'], ''),
                        JSONExtractString(part, 'content'),
                        part
                    ),
                    JSONExtractArrayRaw(message, 'parts')
                )),
                JSONExtractArrayRaw(messages)
            ),
            ['asked', 'answered'],
            [if(plain_messages = '', asked_json, ''), if(plain_response = '', answered_json, '')]
        )) AS json_messages,
        -- Attributes numbered from 0 or 1: `prefix.N.role`, `prefix.N.content` or parts of it, and whatever else is there, as
        -- (prefix, N, name, part). Thoughts have a type beside their text.
        arraySort(arrayMap(
            (key, value, found) -> (
                found[1],
                toUInt32OrZero(found[2]),
                found[3],
                (
                    if(
                        has(arrayMap(
                            type -> replaceOne(type, '.type', '.text'),
                            mapKeys(mapFilter((type, told) -> told = 'reasoning' AND endsWith(type, '.type'), content_attributes))
                        ), key),
                        'thought',
                        concat(found[4], found[5])
                    ),
                    value,
                    if(found[6] = '', '', concat(toJSONString(found[6]), ':', toJSONString(value)))
                )
            ),
            mapKeys(content_attributes),
            mapValues(content_attributes),
            arrayMap(
                key -> extractGroups(key, '^(gen_ai[.](?:prompt|completion)[.]|llm[.](?:input|output)_messages[.])([0-9]{1,9})[.](?:message[.])?((role|content)|contents[.][0-9]+[.]message_content[.](type|text)|(.*))$'),
                mapKeys(content_attributes)
            )
        )) AS numbered_fields,
        arrayMap(
            fields -> arraySplit((field, nth) -> nth = 1, fields, arrayEnumerateUniq(fields.1, fields.2)), [numbered_fields]
        )[1] AS numbered_messages,
        -- Messages as events, each (name, JSON): in an attribute (pydantic-ai's first format, logfire), or of the span (Azure's); and
        -- prompts and answers as texts.
        arrayConcat(
            arrayMap(event -> (JSONExtractString(event, 'event.name'), event), JSONExtractArrayRaw(content_attributes['events'])),
            arrayMap(
                (name, attributes) -> (name, attributes[transform(
                    name, ['gen_ai.content.prompt', 'gen_ai.content.completion'], ['gen_ai.prompt', 'gen_ai.completion'], 'gen_ai.event.content'
                )]),
                event_names,
                event_attributes
            )
        ) AS events,
        -- From here on alike: (kind, role, JSON if it stays as it came, what comes before and after other parts, parts).
        arrayConcat(
            arrayMap(
                (kind, message, parts) -> (
                    kind,
                    JSONExtractString(message, 'role'),
                    -- A lone surrogate in a text is what the engine cannot decode.
                    if(
                        NOT JSONHas(message, 'parts')
                        OR arrayExists(
                            (what, text, part) -> what = 'text' AND text = '' AND JSONExtractRaw(part, 'content') NOT IN ('', '""', 'null'), parts
                        ),
                        message,
                        ''
                    ),
                    ',"parts":[', ']', parts
                ),
                json_messages
            ),
            arrayMap(
                fields -> (fields[1].1, arrayFirst((what, value, json) -> what = 'role', fields.4).2, '', ',', '', fields.4), numbered_messages
            )
        ) AS parted_messages,
        -- The same, with text, JSON of other parts, and thoughts instead of parts.
        arrayConcat(
            arrayMap(text -> ('asked', 'system', '', '', '', text, '', emptyArrayString()), system),
            arrayMap(
                (kind, role, raw, before, after, parts) -> (
                    kind, role, raw, before, after,
                    arrayFirst(text -> text != '', [
                        arrayFirst((what, value, json) -> what = 'content', parts).2,
                        arrayStringConcat(arrayFilter((what, value, json) -> what = 'text', parts).2, '\n')
                    ]),
                    arrayStringConcat(arrayFilter((what, value, json) -> what = '', parts).3, ','),
                    arrayFilter((what, value, json) -> what = 'thought', parts).2
                ),
                parted_messages
            ),
            arrayFlatten(arrayMap(
                kind -> arrayMap(
                    (name, json) -> (
                        kind, '', json, '', '',
                        arrayFirst(text -> text != '', if(
                            kind = 'gen_ai.choice', [JSONExtractString(json, 'message', 'content'), JSONExtractRaw(json, 'message')], [json]
                        )),
                        '', emptyArrayString()
                    ),
                    arrayFilter((name, json) -> endsWith(name, kind) AND json != '', events)
                ),
                ['.message', 'gen_ai.choice', 'gen_ai.content.prompt', 'gen_ai.content.completion']
            ))
        ) AS texts,
        -- (kind, text, JSON, thoughts).
        arrayMap(
            (kind, role, raw, before, after, text, others, thoughts) -> (
                kind,
                text,
                if(raw != '', raw, concat(
                    '{"role":', toJSONString(role), ',"content":', toJSONString(text), if(others = '', '', concat(before, others, after)), '}'
                )),
                thoughts
            ),
            texts
        ) AS all_messages
    SELECT
        *,
        -- By kind: all messages as JSON, their texts, their thoughts.
        CAST(
            arrayMap(
                messages -> arrayMap(
                    same -> (
                        same[1].1,
                        (
                            concat('[', arrayStringConcat(same.3, ','), ']'),
                            arrayStringConcat(arrayFilter(text -> text != '', same.2), '\n'),
                            arrayFlatten(same.4)
                        )
                    ),
                    arraySplit((message, nth) -> nth = 1, messages, arrayEnumerateUniq(messages.1))
                ),
                [all_messages]
            )[1],
            'Map(String, Tuple(String, String, Array(String)))'
        ) AS read
    FROM llm_unread
);

-- Last: where a store is upgraded, this view reads the landing table until all the others are there.
CREATE MATERIALIZED VIEW IF NOT EXISTS llm_logs_mv /*ON CLUSTER*/ TO llm_logs AS
SELECT
    @called(),
    tokens.1 AS input_tokens,
    tokens.2 AS output_tokens,
    tokens.3 AS reasoning_tokens,
    plain_messages AS messages,
    plain_response AS response,
    arrayStringConcat(arrayFilter(text -> text != '', plain_thoughts), '\n') AS thought
FROM llm_calls
WHERE is_read;
