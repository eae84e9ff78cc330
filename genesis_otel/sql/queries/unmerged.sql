-- Rows waiting for a merge
--
-- How many rows each table has, and how many of them are duplicates until ClickHouse has merged: spans that were delivered again in another
-- batch. FINAL excludes them at once.
--
-- since = 0: only rows stored since then, in seconds since 1970
SELECT 'evolution_runs_log' AS table, count() AS rows, count() - (SELECT count() FROM evolution_runs_log FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) AS again FROM evolution_runs_log WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'generations', count(), count() - (SELECT count() FROM generations FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM generations WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'individuals', count(), count() - (SELECT count() FROM individuals FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM individuals WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'pareto_fronts', count(), count() - (SELECT count() FROM pareto_fronts FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM pareto_fronts WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'code_lineages', count(), count() - (SELECT count() FROM code_lineages FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM code_lineages WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'llm_logs', count(), count() - (SELECT count() FROM llm_logs FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM llm_logs WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
UNION ALL SELECT 'agent_actions', count(), count() - (SELECT count() FROM agent_actions FINAL WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})) FROM agent_actions WHERE {since:UInt32} = 0 OR ingested_at >= toDateTime({since:UInt32})
