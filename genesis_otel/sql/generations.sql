-- generations: one row per generation's span.

CREATE TABLE IF NOT EXISTS generations /*ON CLUSTER*/
(
    run_id String,
    generation Int32,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    num_individuals Int32,
    best_score Nullable(Float64),
    avg_score Nullable(Float64),
    pareto_size Int32,
    total_cost Float64,
    metadata String CODEC(ZSTD(3)),
    task_name String DEFAULT '',
    score_told String DEFAULT '',
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS generations_mv /*ON CLUSTER*/ TO generations AS
WITH
    -- A score is a finite number or NULL; of what else was told, `score_told` keeps the word.
    (told -> toFloat64OrNull(replaceOne(told, 'json: unsupported value: ', ''))) AS number_of,
    (told -> if(isFinite(number_of(told)), number_of(told), NULL)) AS finite,
    (told -> if(told IN ('', 'null') OR isFinite(number_of(told)), '', ifNull(toString(number_of(told)), told))) AS not_finite,
    (words -> arrayStringConcat(arrayDistinct(arrayFilter(word -> word != '', words)), ', ')) AS in_a_row
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
    toDateTime64(ended, 3) AS timestamp,
    toInt32OrZero(SpanAttributes['genesis.generation.num_individuals']) AS num_individuals,
    finite(SpanAttributes['genesis.generation.best_score']) AS best_score,
    finite(SpanAttributes['genesis.generation.avg_score']) AS avg_score,
    toInt32OrZero(SpanAttributes['genesis.generation.pareto_size']) AS pareto_size,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.generation.total_cost'], 'json: unsupported value: ', '')) AS total_cost,
    if(SpanAttributes['genesis.generation.metadata'] = '', '{}', SpanAttributes['genesis.generation.metadata']) AS metadata,
    SpanAttributes['genesis.generation.task_name'] AS task_name,
    in_a_row([not_finite(SpanAttributes['genesis.generation.best_score']), not_finite(SpanAttributes['genesis.generation.avg_score'])]) AS score_told,
    TraceId AS trace_id,
    SpanId AS span_id
FROM milestone_spans
WHERE SpanAttributes['genesis.record'] = 'generation';
