-- code_lineages: one row per edge from a parent to its child, from a `lineage` span or from the child's own span.
-- A gain of 0 on an edge whose child has no score, or no parent, is unknown: earlier versions wrote 0 where there was no number.

CREATE TABLE IF NOT EXISTS code_lineages /*ON CLUSTER*/
(
    run_id String,
    child_id String CODEC(ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    generation Int32,
    mutation_type LowCardinality(String),
    timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    fitness_delta Nullable(Float64),
    edit_summary String CODEC(ZSTD(3)),
    trace_id String DEFAULT '' CODEC(ZSTD(1)),
    span_id String DEFAULT '' CODEC(ZSTD(1)),
    position UInt32 DEFAULT 0,
    score_told String DEFAULT '',
    ingested_at DateTime64(3) DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX idx_ingested_at ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*Replicated*/ReplacingMergeTree
ORDER BY (run_id, generation, child_id, trace_id, span_id, position)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600;

CREATE MATERIALIZED VIEW IF NOT EXISTS code_lineages_mv /*ON CLUSTER*/ TO code_lineages AS
SELECT
    run_id,
    child_id,
    edge.1 AS parent_id,
    generation,
    mutation_type,
    timestamp,
    if(isFinite(edge.3) AND NOT (edge.3 = 0 AND (edge.1 = '' OR child_is_unscored)), edge.3, NULL) AS fitness_delta,
    edit_summary,
    trace_id,
    span_id,
    toUInt32(position - 1) AS position,
    if(edge.2 IN ('', 'null') OR isFinite(edge.3), '', ifNull(toString(edge.3), edge.2)) AS score_told
FROM
(
    SELECT
        SpanAttributes['genesis.run.id'] AS run_id,
        if(SpanAttributes['genesis.lineage.child_id'] = '', SpanAttributes['genesis.individual.id'], SpanAttributes['genesis.lineage.child_id']) AS child_id,
        toInt32OrZero(SpanAttributes['genesis.generation.number']) AS generation,
        if(SpanAttributes['genesis.lineage.mutation_type'] = '', SpanAttributes['genesis.individual.mutation_type'], SpanAttributes['genesis.lineage.mutation_type']) AS mutation_type,
        toDateTime64(ended, 3) AS timestamp,
        SpanAttributes['genesis.lineage.edit_summary'] AS edit_summary,
        SpanAttributes['genesis.record'] = 'individual' AND SpanAttributes['genesis.individual.fitness_score'] = '' AS child_is_unscored,
        TraceId AS trace_id,
        SpanId AS span_id,
        -- Parent, gain as it was told, and as a number.
        arrayMap(
            edge -> (edge.1, edge.2, toFloat64OrNull(replaceOne(edge.2, 'json: unsupported value: ', ''))),
            arrayConcat(
                arrayMap(
                    raw -> (JSONExtractString(raw, 'parent_id'), trim(BOTH '"' FROM JSONExtractRaw(raw, 'fitness_delta'))),
                    JSONExtractArrayRaw(SpanAttributes['genesis.lineage.edges'])
                ),
                if(
                    empty(JSONExtractArrayRaw(SpanAttributes['genesis.lineage.edges'])),
                    [(SpanAttributes['genesis.lineage.parent_id'], SpanAttributes['genesis.lineage.fitness_delta'])],
                    []
                )
            )
        ) AS edges
    FROM individual_spans
    WHERE SpanAttributes['genesis.record'] = 'lineage'
        OR mapContains(SpanAttributes, 'genesis.lineage.parent_id')
        OR mapContains(SpanAttributes, 'genesis.lineage.edges')
)
ARRAY JOIN edges AS edge, arrayEnumerate(edges) AS position;
