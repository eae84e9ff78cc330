-- The spans that carry a record, on their way to six tables: the engine analyses a view's SELECT anew at every insert, but only
-- if rows reach it. These tables store nothing (ENGINE = Null). Spans without a record cost one filter instead of six views, and
-- the views of runs, generations, individuals and actions cost something only when such a record arrives. Analysis takes about
-- 20 µs per function, constant and column of a SELECT, at each place that names them: so the filters do nothing else, and what
-- all views read is computed once.

CREATE TABLE IF NOT EXISTS record_spans /*ON CLUSTER*/
(
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    SpanAttributes Map(LowCardinality(String), String),
    ended DateTime64(9),
    StatusCode LowCardinality(String),
    StatusMessage String,
    event_times Array(DateTime64(9)),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS record_spans_mv /*ON CLUSTER*/ TO record_spans AS
SELECT
    Timestamp, TraceId, SpanId, SpanAttributes,
    -- As whole numbers, which wrap: an end beyond the last nanosecond of a DateTime64(9), which a collector passes on, would fail the
    -- insert of all spans. It is the last one, as on the direct path.
    fromUnixTimestamp64Nano(toInt64(least(
        toUInt64(toUnixTimestamp64Nano(toDateTime64(Timestamp, 9))) + toUInt64(greatest(toInt64(Duration), 0)), 9223372036854775807
    ))) AS ended,
    StatusCode, StatusMessage, Events.Timestamp AS event_times, Events.Name AS event_names, Events.Attributes AS event_attributes
FROM otel_traces
WHERE SpanAttributes['genesis.record'] != '' OR has(Events.Name, 'genesis.pareto_front');

CREATE TABLE IF NOT EXISTS milestone_spans /*ON CLUSTER*/ AS record_spans
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS milestone_spans_mv /*ON CLUSTER*/ TO milestone_spans AS
SELECT Timestamp, TraceId, SpanId, SpanAttributes, ended, StatusCode, StatusMessage, event_times, event_names, event_attributes
FROM record_spans
WHERE SpanAttributes['genesis.record'] IN ('run', 'generation') OR has(event_names, 'genesis.pareto_front');

-- Individuals and edges.
CREATE TABLE IF NOT EXISTS individual_spans /*ON CLUSTER*/ AS record_spans
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS individual_spans_mv /*ON CLUSTER*/ TO individual_spans AS
SELECT TraceId, SpanId, SpanAttributes, ended, StatusCode, StatusMessage, event_names, event_attributes
FROM record_spans
WHERE SpanAttributes['genesis.record'] IN ('individual', 'lineage');

-- Actions, and evaluations, which end a job: half of the records of a search.
CREATE TABLE IF NOT EXISTS action_spans /*ON CLUSTER*/ AS record_spans
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS action_spans_mv /*ON CLUSTER*/ TO action_spans AS
SELECT TraceId, SpanId, SpanAttributes, ended, StatusCode, StatusMessage, event_names, event_attributes
FROM record_spans
WHERE SpanAttributes['genesis.record'] IN ('action', 'evaluation');
