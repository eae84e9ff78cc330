-- Processes of runs
--
-- The machine and process that last began or resumed each of these runs, for as long as its raw span is kept.
--
-- run_ids: their ids, e.g. ['a', 'b']
SELECT
    SpanAttributes['genesis.run.id'] AS run_id,
    argMax(SpanAttributes['host.name'], Timestamp) AS host,
    argMax(toInt64OrZero(SpanAttributes['process.pid']), Timestamp) AS pid,
    max(Timestamp) AS began
FROM otel_traces
WHERE SpanAttributes['process.pid'] != '' AND has({run_ids:Array(String)}, run_id)
    AND TraceId IN (SELECT trace_id FROM evolution_runs_log WHERE has({run_ids:Array(String)}, evolution_runs_log.run_id))
GROUP BY run_id
