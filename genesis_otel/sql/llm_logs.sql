-- llm_logs: one row per LLM call, from any instrumentation. Attribute names in use, in the order in which they are read:
-- OpenTelemetry's current ones, its older ones, traceloop's, OpenInference's. An LLM call is recognised by its attributes, not
-- by its span kind (OpenInference's spans are INTERNAL). Content that cannot be read as messages is kept unchanged.
-- A landing table may hold the LLM calls of a whole company. Those of a search have its run id, on the span or on the resource,
-- or passed through a process that records searches, which notes where the cost comes from.
-- The views that fill the table are in llm_read.sql, llm_told.sql and llm_messages.sql.

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
