-- Spans of a trace
--
-- The spans of a trace on a timeline: seconds since the first one began, how long each took, and what it was about.
-- Of a span that does not tell its start, or tells one of another clock, only its end is known, which counts as its start; how long it took
-- is NULL. The longest come first.
--
-- run_id = latest: the run, if no trace is given: its id, a prefix of it, or latest
-- trace_id = : the trace id; by default that of the run's newest individual
-- limit = 500: maximum number of spans, the longest
WITH
    if({trace_id:String} != '', {trace_id:String}, (
        SELECT argMax(trace_id, timestamp) FROM individuals WHERE run_id = {run_id:String}
    )) AS the_trace,
    @span_took(@span_least()) AS took,
    @span_began() AS at
SELECT
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    SpanName AS name,
    dateDiff('microsecond', min(at) OVER (), at) / 1e6 AS began,
    took / 1e9 AS seconds,
    SpanAttributes['genesis.record'] AS record,
    SpanAttributes['gen_ai.request.model'] AS model,
    SpanAttributes['genesis.individual.id'] AS individual_id,
    @status_is_error() OR has(Events.Name, 'exception') AS failed
FROM otel_traces
WHERE TraceId = the_trace
    AND Timestamp >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = the_trace)
    AND Timestamp <= (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = the_trace)
ORDER BY seconds DESC, span_id
LIMIT 1 BY span_id
LIMIT {limit:UInt32}
