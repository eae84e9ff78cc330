-- llm_logs: one row per call of a model, from any instrumentation. The names that are out there, in the order in which they
-- are read: OpenTelemetry's current ones, its older ones, traceloop's, OpenInference's. An LLM call is known by its
-- attributes, not by its kind (OpenInference's spans are INTERNAL). What cannot be read as messages stays as it came.
-- A landing table may hold the LLM calls of a whole company: those of a search have its run's id, on the span or on the
-- resource, or met a process that records searches, which notes where the cost comes from.

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
    INDEX idx_timestamp timestamp TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, timestamp, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_logs_mv /*ON CLUSTER*/ TO llm_logs AS
WITH
    SpanAttributes AS a,
    -- One message of {"role", "parts"} as {"role", "content"}. Text parts make the content; other parts, and a text that
    -- the engine cannot decode (a lone surrogate in the JSON), stay in the object as they came.
    (raw -> arrayFilter(part -> JSONExtractString(part, 'type') = 'text', JSONExtractArrayRaw(raw, 'parts'))) AS text_parts,
    (raw -> arrayStringConcat(arrayMap(part -> JSONExtractString(part, 'content'), text_parts(raw)), '\n')) AS text_of,
    (raw -> arrayFilter(part -> JSONExtractString(part, 'type') NOT IN ('text', 'reasoning', 'thinking'), JSONExtractArrayRaw(raw, 'parts'))) AS other_parts,
    (raw -> arrayExists(
        part -> JSONExtractString(part, 'content') = '' AND JSONExtractRaw(part, 'content') NOT IN ('', '""', 'null'),
        text_parts(raw)
    )) AS undecodable,
    (raw -> if(
        NOT JSONHas(raw, 'parts') OR undecodable(raw),
        raw,
        concat(
            '{"role":', toJSONString(JSONExtractString(raw, 'role')), ',"content":', toJSONString(text_of(raw)),
            if(empty(other_parts(raw)), '', concat(',"parts":[', arrayStringConcat(other_parts(raw), ','), ']')), '}'
        )
    )) AS plain_message,
    -- Attributes numbered from 0 or 1: `prefix.N.role`, `prefix.N.content` or parts of it, and whatever else is there.
    (prefix -> arraySort(arrayDistinct(arrayMap(
        key -> toUInt32OrZero(extract(substring(key, length(prefix) + 1), '^[0-9]+')),
        arrayFilter(key -> startsWith(key, prefix), mapKeys(a))
    )))) AS numbers_of,
    ((prefix, middle, n) -> concat(prefix, toString(n), middle)) AS numbered,
    -- Whether the text of a content, by its key, is the model's reasoning.
    (key -> a[concat(substring(key, 1, length(key) - 4), 'type')] = 'reasoning') AS is_reasoning,
    ((prefix, middle, n) -> if(
        a[concat(numbered(prefix, middle, n), 'content')] != '',
        a[concat(numbered(prefix, middle, n), 'content')],
        arrayStringConcat(arrayMap(
            key -> a[key],
            arraySort(arrayFilter(
                key -> startsWith(key, concat(numbered(prefix, middle, n), 'contents.')) AND endsWith(key, '.message_content.text')
                    AND NOT is_reasoning(key),
                mapKeys(a)
            ))
        ), '\n')
    )) AS numbered_content,
    ((prefix, middle, n) -> mapSort(mapApply(
        (key, value) -> (substring(key, length(numbered(prefix, middle, n)) + 1), value),
        mapFilter(
            (key, value) -> startsWith(key, numbered(prefix, middle, n))
                AND key NOT IN (concat(numbered(prefix, middle, n), 'role'), concat(numbered(prefix, middle, n), 'content'))
                AND NOT endsWith(key, '.message_content.text') AND NOT endsWith(key, '.message_content.type'),
            a
        )
    ))) AS numbered_rest,
    ((prefix, middle) -> if(
        empty(numbers_of(prefix)),
        '',
        concat('[', arrayStringConcat(arrayMap(
            n -> concat(
                '{"role":', toJSONString(a[concat(numbered(prefix, middle, n), 'role')]),
                ',"content":', toJSONString(numbered_content(prefix, middle, n)),
                if(empty(numbered_rest(prefix, middle, n)), '', concat(',', substring(toJSONString(numbered_rest(prefix, middle, n)), 2, length(toJSONString(numbered_rest(prefix, middle, n))) - 2))),
                '}'
            ),
            numbers_of(prefix)
        ), ','), ']')
    )) AS numbered_messages,
    ((prefix, middle) -> arrayStringConcat(arrayFilter(
        text -> text != '',
        arrayMap(n -> numbered_content(prefix, middle, n), numbers_of(prefix))
    ), '\n')) AS numbered_text,
    ((event, key) -> arrayFirst((attributes, name) -> name = event AND attributes[key] != '', Events.Attributes, Events.Name)[key]) AS of_event,
    (keys -> arrayFirst(value -> value != '', arrayMap(key -> a[key], keys))) AS first_of,
    (key -> if(a[key] != '', a[key], ResourceAttributes[key])) AS of_search,
    JSONExtractArrayRaw(a['gen_ai.input.messages']) AS input_messages,
    JSONExtractArrayRaw(a['gen_ai.output.messages']) AS output_messages,
    arrayStringConcat(arrayMap(part -> JSONExtractString(part, 'content'), JSONExtractArrayRaw(a['gen_ai.system_instructions'])), '\n') AS system_text,
    arrayStringConcat(arrayFilter(text -> text != '', arrayMap(raw -> text_of(raw), output_messages)), '\n') AS output_text,
    arrayFirst((attributes, name) -> name = 'exception', Events.Attributes, Events.Name) AS exception,
    StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR has(Events.Name, 'exception') OR a['error.type'] != '' AS is_error,
    arrayFirst(text -> text != '', [a['error.type'], exception['exception.type']]) AS error_type,
    arrayFirst(text -> text != '', [exception['exception.message'], StatusMessage]) AS error_message
SELECT
    reinterpretAsUUID(MD5(concat(TraceId, SpanId))) AS id,
    toDateTime64(Timestamp, 3) AS timestamp,
    arrayFirst(text -> text != '', [
        first_of(['gen_ai.request.model', 'llm.request.model', 'llm.request.model_name']),
        JSONExtractString(a['llm.invocation_parameters'], 'model'),
        JSONExtractString(a['embedding.invocation_parameters'], 'model'),
        first_of(['gen_ai.response.model', 'llm.response.model', 'llm.response.model_name', 'llm.model_name', 'embedding.model_name'])
    ]) AS model,
    arrayFirst(text -> text NOT IN ('', '[]'), [
        if(
            empty(input_messages) AND (system_text = '' OR a['gen_ai.input.messages'] NOT IN ('', '[]')),
            a['gen_ai.input.messages'],
            concat('[', arrayStringConcat(arrayConcat(
                -- Some tell them among the messages, too.
                if(
                    a['gen_ai.system_instructions'] IN ('', '[]')
                    OR arrayExists(raw -> JSONExtractString(raw, 'role') = 'system' AND text_of(raw) = system_text, input_messages),
                    [], [concat(
                    '{"role":"system","content":', toJSONString(if(system_text = '', a['gen_ai.system_instructions'], system_text)), '}'
                )]),
                arrayMap(raw -> plain_message(raw), input_messages)
            ), ','), ']')
        ),
        numbered_messages('gen_ai.prompt.', '.'),
        a['gen_ai.prompt'],
        of_event('gen_ai.content.prompt', 'gen_ai.prompt'),
        numbered_messages('llm.input_messages.', '.message.'),
        a['input.value'],
        a['gen_ai.system_instructions']
    ]) AS messages,
    arrayFirst(text -> text NOT IN ('', '[]'), [
        output_text,
        a['gen_ai.output.messages'],
        numbered_text('gen_ai.completion.', '.'),
        numbered_messages('gen_ai.completion.', '.'),
        a['gen_ai.completion'],
        of_event('gen_ai.content.completion', 'gen_ai.completion'),
        numbered_text('llm.output_messages.', '.message.'),
        numbered_messages('llm.output_messages.', '.message.'),
        -- Of an embedding it is the vector.
        if(a['openinference.span.kind'] = 'EMBEDDING', '', a['output.value'])
    ]) AS response,
    multiIf(charged > 0, charged, cost_of_litellm > 0, cost_of_litellm, cost_told) AS cost,
    greatest(toInt64(Duration), 0) / 1e9 AS execution_time,
    -- Without a metadata attribute: everything on the span that is not content, sorted, since a collector sorts and we don't.
    if(a['genesis.llm.metadata'] != '', a['genesis.llm.metadata'], toJSONString(mapSort(mapApply(
        (key, value) -> (if(key = 'genesis.place', 'place', key), value),
        mapFilter((key, value) -> NOT match(key, '^(gen_ai\\.(prompt|completion|input|output|system_instructions|tool\\.definitions)|llm\\.(input_messages|output_messages|prompts|tools)|input\\.|output\\.|embedding\\.embeddings|genesis\\.(record|run|individual|llm)\\.)'), a)
    )))) AS metadata,
    arrayStringConcat(arrayFilter(text -> text != '', arrayConcat(
        arrayMap(
            part -> JSONExtractString(part, 'content'),
            arrayFilter(
                part -> JSONExtractString(part, 'type') IN ('reasoning', 'thinking'),
                arrayFlatten(arrayMap(raw -> JSONExtractArrayRaw(raw, 'parts'), output_messages))
            )
        ),
        arrayMap(key -> a[key], arraySort(arrayFilter(
            key -> startsWith(key, 'llm.output_messages.') AND endsWith(key, '.message_content.text') AND is_reasoning(key), mapKeys(a)
        )))
    )), '\n') AS thought,
    of_search('genesis.run.id') AS run_id,
    toInt32OrNull(of_search('genesis.generation.number')) AS generation,
    of_search('genesis.individual.id') AS individual_id,
    a['genesis.llm.role'] AS role,
    if(provider_at != '', provider_at, provider_told) AS provider,
    multiIf(
        a['gen_ai.operation.name'] = 'completion', 'text_completion',
        a['gen_ai.operation.name'] NOT IN ('', 'embedding'), a['gen_ai.operation.name'],
        a['gen_ai.operation.name'] = 'embedding' OR a['openinference.span.kind'] = 'EMBEDDING' OR a['llm.request.type'] = 'embedding', 'embeddings',
        a['llm.request.type'] = 'completion', 'text_completion',
        'chat'
    ) AS operation,
    first_of(['gen_ai.response.model', 'llm.response.model', 'llm.response.model_name', 'llm.model_name', 'embedding.model_name']) AS response_model,
    arrayFirst(text -> text != '', [
        arrayStringConcat(JSONExtract(a['gen_ai.response.finish_reasons'], 'Array(String)'), ','),
        a['gen_ai.response.finish_reasons'],
        first_of(['gen_ai.completion.0.finish_reason', 'llm.finish_reason', 'anthropic.message.stop_reason'])
    ]) AS finish_reason,
    if(is_error, 'error', 'ok') AS status,
    if(is_error, concat(error_type, if(error_type = '' OR error_message = '', '', ': '), error_message), '') AS error,
    input_told + beside.1 AS input_tokens,
    output_told + beside.3 AS output_tokens,
    read_told AS cached_tokens,
    write_told AS cache_write_tokens,
    beside.2 AS reasoning_tokens,
    if(
        first_of(['gen_ai.response.time_to_first_chunk', 'gen_ai.server.time_to_first_token']) = ''
        AND has(Events.Name, 'First Token Stream Event'),
        greatest(toFloat64(dateDiff(
            'nanosecond', Timestamp, arrayFirst((time, name) -> name = 'First Token Stream Event', Events.Timestamp, Events.Name)
        )) / 1e9, 0),
        toFloat64OrZero(replaceOne(
            first_of(['gen_ai.response.time_to_first_chunk', 'gen_ai.server.time_to_first_token']), 'json: unsupported value: ', ''
        ))
    ) AS time_to_first_token,
    multiIf(
        a['genesis.llm.cost_source'] != '', a['genesis.llm.cost_source'],
        charged > 0, 'openrouter',
        cost_of_litellm > 0, 'litellm',
        cost_told > 0 OR (is_told_free AND (ScopeName = 'genesis_otel' OR input_told + output_told = 0)), 'told',
        ''
    ) AS cost_source,
    TraceId AS trace_id,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    arrayFirst(text -> text != '', [
        a['gen_ai.response.id'],
        -- OpenInference has it in the answer alone; what a model answers may be JSON, too, and has no model's name beside an id.
        if(
            position(a['output.value'], '"id"') > 0 AND a['output.mime_type'] = 'application/json'
                AND JSONExtractString(a['output.value'], 'model') != '',
            JSONExtractString(a['output.value'], 'id'),
            ''
        )
    ]) AS response_id
FROM
(
    -- What is read more than once: where an expression's name stands, it is analysed anew.
    WITH
        SpanAttributes AS a,
        arrayFirst(text -> text != '', [
            a['server.address'], a['gen_ai.openai.api_base'], a['openai.api_base'], a['llm.openai.api_base'], a['url.full'],
            a['http.url'],
            extract(a['hidden_params'], '[\'"]api_base[\'"]: ?[\'"]?([^\'",}]+)')
        ]) AS server,
        concat('.', lower(extract(server, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?(?:[^/@]*@)?([^/:?#]+)'))) AS host
    SELECT
        *,
        arrayFirst(text -> text != '', [a['gen_ai.provider.name'], a['gen_ai.system'], a['llm.provider'], a['llm.system']]) AS provider_told,
        -- Whom the call went to: by the host, where it is a known one (_store/providers.py), else as the instrumentation names it.
        if(server = '', '', arrayFirst((provider, end) -> endsWith(host, end), [
            'openrouter', 'openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.inference',
            'azure.ai.inference', 'azure.ai.inference', 'anthropic', 'aws.bedrock', 'aws.bedrock', 'aws.bedrock', 'gcp.gemini',
            'gcp.vertex_ai', 'groq', 'together_ai', 'together_ai', 'fireworks_ai', 'deepseek', 'mistral_ai', 'mistral_ai', 'x_ai',
            'perplexity', 'cohere', 'cohere', 'cerebras', 'moonshot_ai', 'moonshot_ai', 'z_ai', 'zhipu_ai', 'minimax', 'minimax',
            'minimax', 'novita', 'github_copilot', 'voyage_ai', 'databricks', 'databricks', 'databricks', 'cloudflare', 'baseten',
            'ovhcloud', 'deepinfra', 'sambanova', 'nebius', 'nebius', 'nebius', 'hyperbolic', 'alibaba_cloud', 'siliconflow',
            'siliconflow', 'volcengine', 'nvidia', 'replicate', 'huggingface', 'huggingface', 'github_models', 'ibm.watsonx.ai',
            'ollama_cloud'
        ], [
            '.openrouter.ai', '.api.openai.com', '.openai.azure.com', '.openai.azure.us', '.cognitiveservices.azure.com',
            '.azure-api.net', '.services.ai.azure.com', '.models.ai.azure.com', '.inference.ai.azure.com', '.api.anthropic.com',
            '.amazonaws.com', '.amazonaws.com.cn', '.api.aws', '.generativelanguage.googleapis.com', '.googleapis.com', '.api.groq.com',
            '.api.together.xyz', '.api.together.ai', '.api.fireworks.ai', '.api.deepseek.com', '.api.mistral.ai',
            '.codestral.mistral.ai', '.api.x.ai', '.api.perplexity.ai', '.api.cohere.com', '.api.cohere.ai', '.api.cerebras.ai',
            '.api.moonshot.ai', '.api.moonshot.cn', '.api.z.ai', '.open.bigmodel.cn', '.api.minimax.io', '.api.minimax.chat',
            '.api.minimaxi.com', '.api.novita.ai', '.githubcopilot.com', '.api.voyageai.com', '.cloud.databricks.com',
            '.azuredatabricks.net', '.gcp.databricks.com', '.api.cloudflare.com', '.inference.baseten.co', '.cloud.ovh.net',
            '.api.deepinfra.com', '.api.sambanova.ai', '.api.studio.nebius.ai', '.api.studio.nebius.com', '.api.tokenfactory.nebius.com',
            '.api.hyperbolic.xyz', '.aliyuncs.com', '.api.siliconflow.cn', '.api.siliconflow.com', '.volces.com',
            '.integrate.api.nvidia.com', '.api.replicate.com', '.router.huggingface.co', '.api-inference.huggingface.co',
            '.models.github.ai', '.ml.cloud.ibm.com', '.ollama.com'
        ])) AS provider_at,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.input_tokens'], a['gen_ai.usage.prompt_tokens'], a['llm.usage.prompt_tokens'], a['llm.token_count.prompt']
        ])) AS input_told,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.output_tokens'], a['gen_ai.usage.completion_tokens'], a['llm.usage.completion_tokens'],
            a['llm.token_count.completion']
        ])) AS output_told,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.cache_read.input_tokens'], a['gen_ai.usage.cache_read_input_tokens'],
            a['llm.token_count.prompt_details.cache_read']
        ])) AS read_told,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.cache_write.input_tokens'], a['gen_ai.usage.cache_creation.input_tokens'],
            a['gen_ai.usage.cache_creation_input_tokens'], a['llm.token_count.prompt_details.cache_write']
        ])) AS write_told,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.reasoning.output_tokens'], a['gen_ai.usage.reasoning_tokens'], a['gen_ai.usage.details.reasoning_tokens'],
            a['llm.usage.reasoning_tokens'], a['llm.token_count.completion_details.reasoning']
        ])) AS reasoning_told,
        toUInt64OrZero(arrayFirst(text -> text != '', [
            a['gen_ai.usage.total_tokens'], a['llm.usage.total_tokens'], a['llm.token_count.total']
        ])) AS total_told,
        -- Token counts by OpenTelemetry's rule (_store/tokens.py): the cached tokens that stand beside the input, all reasoning tokens,
        -- and those of them that stand beside the output.
        arrayMap(
            counted -> (
                counted.1,
                if(
                    reasoning_told = 0
                    AND ScopeName IN ('opentelemetry.instrumentation.google_generativeai', 'opentelemetry.instrumentation.vertexai'),
                    counted.2,
                    reasoning_told
                ) AS reasoning,
                if(reasoning > output_told OR counted.2 >= reasoning, reasoning, 0)
            ),
            arrayMap(
                (cache, rest) -> if(
                    cache > input_told
                    OR ScopeName IN ('opentelemetry.instrumentation.bedrock')
                    OR (ScopeName IN ('openlit', 'openlit.otel.tracing') AND positionCaseInsensitive(provider_told, 'anthropic') > 0)
                    OR rest = cache
                    OR rest = cache + reasoning_told,
                    (cache, rest - least(cache, rest)),
                    (toUInt64(0), rest)
                ),
                [read_told + write_told],
                [if(total_told > input_told + output_told, total_told - input_told - output_told, 0)]
            )
        )[1] AS beside,
        -- What the call cost, as it was told: a finite number above 0, the provider's own word first. Instrumentations tell 0 of
        -- models that they have no price for.
        if(
            position(a['output.value'], '"cost"') > 0 AND a['output.mime_type'] = 'application/json'
                AND JSONExtractString(a['output.value'], 'model') != '',
            JSONExtractFloat(a['output.value'], 'usage', 'cost') + if(
                JSONExtractBool(a['output.value'], 'usage', 'is_byok'),
                JSONExtractFloat(a['output.value'], 'usage', 'cost_details', 'upstream_inference_cost'),
                0
            ),
            0
        ) AS charged,
        arrayFirst(cost -> cost > 0 AND isFinite(cost), arrayMap(text -> toFloat64OrZero(text), [
            a['gen_ai.cost.total_cost'], a['litellm.cost.total'],
            extract(a['hidden_params'], '[\'"]response_cost[\'"]: ?[\'"]?([^\'",}]+)')
        ])) AS cost_of_litellm,
        arrayFirst(cost -> cost > 0 AND isFinite(cost), arrayMap(text -> toFloat64OrZero(text), [
            a['gen_ai.usage.cost'], a['llm.cost.total'], a['gen_ai.usage.total_cost'], a['gen_ai.usage.cost_usd'],
            a['llm.usage.total_cost'], a['operation.cost']
        ])) AS cost_told,
        arrayExists(text -> ifNull(toFloat64OrNull(text) = 0, 0), [
            a['gen_ai.cost.total_cost'], a['litellm.cost.total'], a['gen_ai.usage.cost'], a['llm.cost.total'],
            a['gen_ai.usage.total_cost'], a['gen_ai.usage.cost_usd'], a['llm.usage.total_cost'], a['operation.cost']
        ]) AS is_told_free
    FROM otel_traces
    WHERE (
            SpanAttributes['gen_ai.operation.name'] IN ('chat', 'text_completion', 'generate_content', 'embeddings', 'embedding', 'completion')
            OR SpanAttributes['openinference.span.kind'] IN ('LLM', 'EMBEDDING')
            OR SpanAttributes['llm.request.type'] IN ('chat', 'completion', 'embedding')
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
        AND SpanAttributes['genesis.record'] = ''
);
