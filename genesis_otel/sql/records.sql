-- The spans that carry a record, on their way to six tables: the engine analyses a view's SELECT anew at every insert, but only
-- if rows reach it. These tables store nothing (ENGINE = Null). Spans without a record cost one filter instead of six views, and
-- the views of runs, generations and individuals cost something only when such a record arrives. A filter costs 2 ms an insert,
-- and a view with the nodes of `individuals` 10: so the filters do nothing else.

CREATE TABLE IF NOT EXISTS record_spans /*ON CLUSTER*/
(
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    SpanAttributes Map(LowCardinality(String), String),
    Duration Int64,
    StatusCode LowCardinality(String),
    StatusMessage String,
    event_times Array(DateTime64(9)),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS record_spans_mv /*ON CLUSTER*/ TO record_spans AS
SELECT
    Timestamp, TraceId, SpanId, SpanAttributes, toInt64(Duration) AS Duration, StatusCode, StatusMessage,
    Events.Timestamp AS event_times, Events.Name AS event_names, Events.Attributes AS event_attributes
FROM otel_traces
WHERE SpanAttributes['genesis.record'] != '' OR has(Events.Name, 'genesis.pareto_front');

CREATE TABLE IF NOT EXISTS milestone_spans /*ON CLUSTER*/ AS record_spans
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS milestone_spans_mv /*ON CLUSTER*/ TO milestone_spans AS
SELECT *
FROM record_spans
WHERE SpanAttributes['genesis.record'] IN ('run', 'generation') OR has(event_names, 'genesis.pareto_front');

-- Individuals and edges: half of the records of a search are others.
CREATE TABLE IF NOT EXISTS individual_spans /*ON CLUSTER*/ AS record_spans
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS individual_spans_mv /*ON CLUSTER*/ TO individual_spans AS
SELECT *
FROM record_spans
WHERE SpanAttributes['genesis.record'] IN ('individual', 'lineage');
