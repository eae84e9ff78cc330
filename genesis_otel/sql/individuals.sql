-- individuals: one row an individual's span, failed ones included (status says so).

CREATE TABLE IF NOT EXISTS individuals /*ON CLUSTER*/
(
    run_id String,
    individual_id String,
    generation Int32,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    mutation_type LowCardinality(String),
    fitness_score Float64,
    combined_score Float64,
    metrics String CODEC(ZSTD(3)),
    is_pareto Bool,
    api_cost Float64,
    embed_cost Float64,
    novelty_cost Float64,
    code_hash String CODEC(ZSTD(1)),
    code_size Int32,
    code String DEFAULT '' CODEC(ZSTD(3)),
    island LowCardinality(String) DEFAULT '',
    status LowCardinality(String) DEFAULT 'ok',
    error String DEFAULT '' CODEC(ZSTD(3)),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, individual_id, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS individuals_mv /*ON CLUSTER*/ TO individuals AS
WITH arrayFirst((attributes, name) -> name = 'exception', Events.Attributes, Events.Name) AS exception
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    SpanAttributes['genesis.individual.id'] AS individual_id,
    toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
    toDateTime64(Timestamp + toIntervalNanosecond(greatest(toInt64(Duration), 0)), 3) AS timestamp,
    SpanAttributes['genesis.individual.parent_id'] AS parent_id,
    SpanAttributes['genesis.individual.mutation_type'] AS mutation_type,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.fitness_score'], 'json: unsupported value: ', '')) AS fitness_score,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.combined_score'], 'json: unsupported value: ', '')) AS combined_score,
    if(SpanAttributes['genesis.individual.metrics'] = '', '{}', SpanAttributes['genesis.individual.metrics']) AS metrics,
    SpanAttributes['genesis.individual.is_pareto'] = 'true' AS is_pareto,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.api_cost'], 'json: unsupported value: ', '')) AS api_cost,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.embed_cost'], 'json: unsupported value: ', '')) AS embed_cost,
    toFloat64OrZero(replaceOne(SpanAttributes['genesis.individual.novelty_cost'], 'json: unsupported value: ', '')) AS novelty_cost,
    SpanAttributes['genesis.individual.code_hash'] AS code_hash,
    toInt32OrZero(SpanAttributes['genesis.individual.code_size']) AS code_size,
    SpanAttributes['genesis.individual.code'] AS code,
    SpanAttributes['genesis.individual.island'] AS island,
    if(StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR has(Events.Name, 'exception'), 'error', 'ok') AS status,
    arrayFirst(text -> text != '', [StatusMessage, exception['exception.message'], exception['exception.type']]) AS error,
    TraceId AS trace_id,
    SpanId AS span_id
FROM otel_traces
WHERE SpanAttributes['genesis.record'] = 'individual';
