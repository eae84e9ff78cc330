-- From spans to llm_logs, third: calls whose messages are still to be read, and last those that need no more.

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
