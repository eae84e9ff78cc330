-- agent_actions: one row per action's span, and one per evaluation's, which is the end of its job.

CREATE TABLE IF NOT EXISTS agent_actions /*ON CLUSTER*/
(
    id UUID,
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    action_type LowCardinality(String),
    details String CODEC(ZSTD(3)),
    metadata String CODEC(ZSTD(3)),
    run_id String DEFAULT '',
    generation Nullable(Int32) DEFAULT NULL,
    individual_id String DEFAULT '' CODEC(ZSTD(1)),
    output String DEFAULT '' CODEC(ZSTD(3)),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_timestamp timestamp TYPE minmax GRANULARITY 1,
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, timestamp, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS agent_actions_mv /*ON CLUSTER*/ TO agent_actions AS
SELECT
    reinterpretAsUUID(MD5(concat(TraceId, SpanId))) AS id,
    toDateTime64(ended, 3) AS timestamp,
    multiIf(
        NOT is_evaluation, SpanAttributes['genesis.action.action_type'],
        is_error OR SpanAttributes['genesis.evaluation.correct'] = 'false', 'job_failed',
        'job_completed'
    ) AS action_type,
    -- The exception of a failed job joins the caller's object, unless that is no object or has an error of its own.
    if(
        is_evaluation AND is_error AND startsWith(told, '{') AND endsWith(told, '}') AND NOT JSONHas(told, 'error'),
        concat(
            substring(told, 1, length(told) - 1), if(length(told) > 2, ',', ''),
            '"error":', toJSONString(arrayFirst(text -> text != '', [exception['exception.message'], StatusMessage, 'failed'])),
            ',"error_type":', toJSONString(arrayFirst(text -> text != '', [exception['exception.type'], SpanAttributes['error.type']])), '}'
        ),
        told
    ) AS details,
    arrayFirst(text -> text != '', [SpanAttributes['genesis.action.metadata'], SpanAttributes['genesis.evaluation.metadata'], '{}']) AS metadata,
    SpanAttributes['genesis.run.id'] AS run_id,
    toInt32OrNull(SpanAttributes['genesis.generation.number']) AS generation,
    SpanAttributes['genesis.individual.id'] AS individual_id,
    SpanAttributes['genesis.evaluation.output'] AS output,
    TraceId AS trace_id,
    SpanId AS span_id
FROM
(
    SELECT
        TraceId, SpanId, SpanAttributes, ended, StatusMessage,
        SpanAttributes['genesis.record'] = 'evaluation' AS is_evaluation,
        arrayFirst((attributes, name) -> name = 'exception', event_attributes, event_names) AS exception,
        @status_is_error() OR has(event_names, 'exception') AS is_error,
        arrayFirst(text -> text != '', [SpanAttributes['genesis.action.details'], SpanAttributes['genesis.evaluation.details'], '{}']) AS told
    FROM action_spans
);
