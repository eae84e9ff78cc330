-- From spans to llm_logs, second: all calls that do not take the short way. They become rows but for messages that are not plain.

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
    @status_is_error() OR has(event_names, 'exception') AS is_failed,
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
    -- and those of them that stand beside the output. Where one is somebody's maximum integer, nothing is added: they stay as told.
    if(
        greatest(input_told, output_told, read_told, write_told, reasoning_told, total_told) >= @too_many(),
        (input_told, output_told, reasoning_told),
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
        )[1]
    ) AS tokens,
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
