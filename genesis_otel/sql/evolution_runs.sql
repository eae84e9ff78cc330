-- evolution_runs: one row per run, with its current status, to a plain SELECT.
-- A run is recorded in two or more spans (its start, its end, later resumptions), possibly by different processes that do not
-- know each other's values. The log keeps each span's row; the view merges them: status, end, error and generations come from
-- the latest row, and everything else is the latest value that was recorded at all.

CREATE TABLE IF NOT EXISTS evolution_runs_log /*ON CLUSTER*/
(
    run_id String,
    start_time DateTime64(3),
    end_time DateTime64(3),
    task_name String,
    config String CODEC(ZSTD(3)),
    status LowCardinality(String),
    total_generations Int32,
    population_size Int32,
    cluster_type LowCardinality(String),
    database_path String,
    trace_id String DEFAULT '',
    span_id String DEFAULT '',
    ingested_at DateTime64(3) DEFAULT now64(3),
    told_at DateTime64(9) DEFAULT greatest(start_time, end_time),
    direction LowCardinality(String) DEFAULT '',
    error String DEFAULT '' CODEC(ZSTD(3)),
    budget Nullable(Float64) DEFAULT NULL,
    objectives Map(String, String) DEFAULT map()
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, told_at, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS evolution_runs_mv /*ON CLUSTER*/ TO evolution_runs_log AS
WITH
    arrayFirst((attributes, name) -> name = 'exception', event_attributes, event_names) AS exception,
    toFloat64OrNull(SpanAttributes['genesis.run.budget']) AS told_budget
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    -- A start of 0 is unknown.
    toDateTime64(if(toUnixTimestamp64Nano(Timestamp) = 0, ended, Timestamp), 3) AS start_time,
    if(status = 'running', toDateTime64(0, 3), toDateTime64(told_at, 3)) AS end_time,
    SpanAttributes['genesis.run.task_name'] AS task_name,
    SpanAttributes['genesis.run.config'] AS config,
    multiIf(
        SpanAttributes['genesis.run.status'] != '', SpanAttributes['genesis.run.status'],
        @status_is_error(), 'failed',
        'completed'
    ) AS status,
    toInt32OrZero(SpanAttributes['genesis.run.total_generations']) AS total_generations,
    toInt32OrZero(SpanAttributes['genesis.run.population_size']) AS population_size,
    SpanAttributes['genesis.run.cluster_type'] AS cluster_type,
    SpanAttributes['genesis.run.database_path'] AS database_path,
    TraceId AS trace_id,
    SpanId AS span_id,
    ended AS told_at,
    lower(SpanAttributes['genesis.run.direction']) AS direction,
    -- Before runs told their error, a failed one had it as its span's status.
    arrayFirst(text -> text != '', if(
        status IN ('running', 'completed'),
        [SpanAttributes['genesis.run.error']],
        [SpanAttributes['genesis.run.error'], StatusMessage, exception['exception.message'], exception['exception.type']]
    )) AS error,
    if(isFinite(told_budget), told_budget, NULL) AS budget,
    mapFilter((name, way) -> way IN ('max', 'min'), JSONExtract(SpanAttributes['genesis.run.objectives'], 'Map(String, String)')) AS objectives
FROM milestone_spans
WHERE SpanAttributes['genesis.record'] = 'run';

CREATE VIEW IF NOT EXISTS evolution_runs /*ON CLUSTER*/ AS
@folded();
