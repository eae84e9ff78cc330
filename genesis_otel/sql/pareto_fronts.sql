-- pareto_fronts: one row per member of a front. The front is one event whose members are one JSON attribute; of several that a span has
-- within the same millisecond only the last is kept, since their rows could not be told apart.

CREATE TABLE IF NOT EXISTS pareto_fronts /*ON CLUSTER*/
(
    run_id String,
    generation Int32,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    individual_id String CODEC(ZSTD(1)),
    fitness_score Nullable(Float64),
    combined_score Nullable(Float64),
    metrics String CODEC(ZSTD(3)),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    position UInt32 DEFAULT 0,
    score_told String DEFAULT '',
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, individual_id, trace_id, span_id, position)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS pareto_fronts_mv /*ON CLUSTER*/ TO pareto_fronts AS
WITH
    -- A score is a finite number or NULL; of what else was told, `score_told` keeps the word.
    (told -> toFloat64OrNull(replaceOne(told, 'json: unsupported value: ', ''))) AS number_of,
    (told -> if(isFinite(number_of(told)), number_of(told), NULL)) AS finite,
    (told -> if(told IN ('', 'null') OR isFinite(number_of(told)), '', ifNull(toString(number_of(told)), told))) AS not_finite,
    (words -> arrayStringConcat(arrayDistinct(arrayFilter(word -> word != '', words)), ', ')) AS in_a_row,
    (key -> trim(BOTH '"' FROM JSONExtractRaw(member.2, key))) AS score_of
SELECT
    run_id,
    generation,
    toDateTime64(member.1, 3) AS timestamp,
    JSONExtractString(member.2, 'individual_id') AS individual_id,
    finite(score_of('fitness_score')) AS fitness_score,
    finite(score_of('combined_score')) AS combined_score,
    multiIf(
        JSONExtractString(member.2, 'metrics') != '', JSONExtractString(member.2, 'metrics'),
        JSONExtractRaw(member.2, 'metrics') NOT IN ('', 'null', '""'), JSONExtractRaw(member.2, 'metrics'),
        '{}'
    ) AS metrics,
    trace_id,
    span_id,
    toUInt32(position - 1) AS position,
    in_a_row([not_finite(score_of('fitness_score')), not_finite(score_of('combined_score'))]) AS score_told
FROM
(
    SELECT
        SpanAttributes['genesis.run.id'] AS run_id,
        toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
        TraceId AS trace_id,
        SpanId AS span_id,
        arrayFlatten(arrayMap(
            (name, time, attributes, at) -> if(
                name = 'genesis.pareto_front',
                arrayMap(raw -> (time, raw, at), JSONExtractArrayRaw(attributes['genesis.pareto_front.members'])),
                []
            ),
            event_names, event_times, event_attributes, arrayEnumerate(event_names)
        )) AS members,
        arrayMap(
            (name, time) -> arrayLastIndex(
                (other, its) -> other = 'genesis.pareto_front' AND toDateTime64(its, 3) = toDateTime64(time, 3), event_names, event_times
            ),
            event_names, event_times
        ) AS last_then
    FROM milestone_spans
    WHERE has(event_names, 'genesis.pareto_front')
)
ARRAY JOIN members AS member, arrayEnumerate(members) AS position
WHERE last_then[member.3] = member.3;
