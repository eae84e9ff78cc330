-- Rows waiting for a merge
--
-- How many rows each table has, and how many of them are duplicates until ClickHouse has merged: spans that were delivered again in another
-- batch. FINAL excludes them at once.
--
-- since = 0: only rows stored since then, in seconds since 1970
SELECT 'evolution_runs_log' AS table, count() AS rows, count() - uniqExact(trace_id, span_id) AS again FROM evolution_runs_log WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'generations', count(), count() - uniqExact(trace_id, span_id) FROM generations WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'individuals', count(), count() - uniqExact(trace_id, span_id) FROM individuals WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'pareto_fronts', count(), count() - uniqExact(trace_id, span_id, position) FROM pareto_fronts WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'code_lineages', count(), count() - uniqExact(trace_id, span_id, position) FROM code_lineages WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'llm_logs', count(), count() - uniqExact(trace_id, span_id) FROM llm_logs WHERE ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'agent_actions', count(), count() - uniqExact(trace_id, span_id) FROM agent_actions WHERE ingested_at >= toDateTime({since:UInt32})
