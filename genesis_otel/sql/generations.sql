-- generations: one row a generation's span.

CREATE TABLE IF NOT EXISTS generations /*ON CLUSTER*/
(
    run_id String,
    generation Int32,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    num_individuals Int32,
    best_score Float64,
    avg_score Float64,
    pareto_size Int32,
    total_cost Float64,
    metadata String CODEC(ZSTD(3)),
    task_name String DEFAULT '',
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS generations_mv /*ON CLUSTER*/ TO generations AS
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
    toDateTime64(Timestamp + toIntervalNanosecond(greatest(toInt64(Duration), 0)), 3) AS timestamp,
    toInt32OrZero(SpanAttributes['genesis.generation.num_individuals']) AS num_individuals,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.generation.best_score'], 'json: unsupported value: ', '')) AS best_score,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.generation.avg_score'], 'json: unsupported value: ', '')) AS avg_score,
    toInt32OrZero(SpanAttributes['genesis.generation.pareto_size']) AS pareto_size,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.generation.total_cost'], 'json: unsupported value: ', '')) AS total_cost,
    if(SpanAttributes['genesis.generation.metadata'] = '', '{}', SpanAttributes['genesis.generation.metadata']) AS metadata,
    SpanAttributes['genesis.generation.task_name'] AS task_name,
    TraceId AS trace_id,
    SpanId AS span_id
FROM otel_traces
WHERE SpanAttributes['genesis.record'] = 'generation';
