-- individuals: one row per individual's span, failed ones included (status says so).
-- A score of 0 beside metrics that say that the program failed means that the evaluator had no score.

CREATE TABLE IF NOT EXISTS individuals /*ON CLUSTER*/
(
    run_id String,
    individual_id String,
    generation Int32,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    mutation_type LowCardinality(String),
    fitness_score Nullable(Float64),
    combined_score Nullable(Float64),
    metrics String CODEC(ZSTD(3)),
    is_pareto Bool,
    api_cost Float64,
    embed_cost Float64,
    novelty_cost Float64,
    code_hash String CODEC(ZSTD(1)),
    code_size Int32,
    code String DEFAULT '' CODEC(ZSTD(3)),
    island LowCardinality(String) DEFAULT '',
    cell String DEFAULT '' CODEC(ZSTD(1)),
    status LowCardinality(String) DEFAULT 'ok',
    correct Nullable(Bool) DEFAULT NULL,
    score_told String DEFAULT '',
    error String DEFAULT '' CODEC(ZSTD(3)),
    metadata String DEFAULT '' CODEC(ZSTD(3)),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_timestamp timestamp TYPE minmax GRANULARITY 1,
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, individual_id, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

-- What is read more than once is a column of the inner SELECT: an alias is analysed anew at each place that names it.
CREATE MATERIALIZED VIEW IF NOT EXISTS individuals_mv /*ON CLUSTER*/ TO individuals AS
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    SpanAttributes['genesis.individual.id'] AS individual_id,
    toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
    toDateTime64(ended, 3) AS timestamp,
    SpanAttributes['genesis.individual.parent_id'] AS parent_id,
    SpanAttributes['genesis.individual.mutation_type'] AS mutation_type,
    scores[1].1 AS fitness_score,
    scores[2].1 AS combined_score,
    if(told_metrics = '', '{}', told_metrics) AS metrics,
    SpanAttributes['genesis.individual.is_pareto'] = 'true' AS is_pareto,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.api_cost'], 'json: unsupported value: ', '')) AS api_cost,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.embed_cost'], 'json: unsupported value: ', '')) AS embed_cost,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.novelty_cost'], 'json: unsupported value: ', '')) AS novelty_cost,
    SpanAttributes['genesis.individual.code_hash'] AS code_hash,
    toInt32OrZero(SpanAttributes['genesis.individual.code_size']) AS code_size,
    SpanAttributes['genesis.individual.code'] AS code,
    SpanAttributes['genesis.individual.island'] AS island,
    SpanAttributes['genesis.individual.cell'] AS cell,
    multiIf(is_error, 'error', NOT correct, 'incorrect', 'ok') AS status,
    correct,
    arrayStringConcat(arrayDistinct(arrayFilter(word -> word != '', scores.2)), ', ') AS score_told,
    arrayFirst(text -> text != '', [StatusMessage, exception['exception.message'], exception['exception.type']]) AS error,
    SpanAttributes['genesis.individual.metadata'] AS metadata,
    TraceId AS trace_id,
    SpanId AS span_id
FROM
(
    SELECT
        TraceId, SpanId, SpanAttributes, ended, StatusMessage,
        SpanAttributes['genesis.individual.metrics'] AS told_metrics,
        JSONExtractRaw(told_metrics, 'correct') AS correct_metric,
        event_attributes[indexOf(event_names, 'exception')] AS exception,
        @status_is_error() OR has(event_names, 'exception') AS is_error,
        CAST(multiIf(
            SpanAttributes['genesis.individual.correct'] IN ('true', 'false'), SpanAttributes['genesis.individual.correct'],
            correct_metric IN ('true', 'false'), correct_metric,
            NULL
        ), 'Nullable(Bool)') AS correct,
        correct_metric = 'false'
            OR (is_error AND (JSONHas(told_metrics, 'error') OR JSONExtractRaw(told_metrics, 'timeout') = 'true')) AS is_of_a_failure,
        -- A score is a finite number or NULL; of what else was told, `score_told` keeps the word.
        arrayMap(
            (told, number) -> multiIf(
                isFinite(number) AND NOT (number = 0 AND is_of_a_failure), (number, ''),
                told IN ('', 'null'), (NULL, ''),
                (NULL, ifNull(toString(number), told))
            ),
            [SpanAttributes['genesis.individual.fitness_score'], SpanAttributes['genesis.individual.combined_score']] AS told_scores,
            arrayMap(told -> toFloat64OrNull(replaceOne(told, 'json: unsupported value: ', '')), told_scores)
        ) AS scores
    FROM individual_spans
    WHERE SpanAttributes['genesis.record'] = 'individual'
);
