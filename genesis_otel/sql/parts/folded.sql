-- Runs, each in one row: what the view `evolution_runs` shows, and how it folds the log. Queries that join runs with anything read this
-- and not the view: ClickHouse plans a query that reads a view in its FROM twice as a whole, a quarter of the time of `pulse`.
-- What a run does not tell is maximised.
--
SELECT
    log.run_id AS run_id,
    min(log.start_time) AS start_time,
    argMax(log.end_time, (log.told_at, log.end_time)) AS end_time,
    argMaxIf(log.task_name, log.told_at, log.task_name != '') AS task_name,
    argMaxIf(log.config, log.told_at, log.config != '') AS config,
    @told_status() AS status,
    argMax(log.total_generations, (log.told_at, log.end_time)) AS total_generations,
    argMaxIf(log.population_size, log.told_at, log.population_size != 0) AS population_size,
    argMaxIf(log.cluster_type, log.told_at, log.cluster_type != '') AS cluster_type,
    argMaxIf(log.database_path, log.told_at, log.database_path != '') AS database_path,
    argMax(log.trace_id, (log.told_at, log.end_time)) AS trace_id,
    argMax(log.span_id, (log.told_at, log.end_time)) AS span_id,
    max(log.ingested_at) AS ingested_at,
    if(@minimises(), 'min', 'max') AS direction,
    argMax(log.error, (log.told_at, log.end_time)) AS error,
    argMaxIf(log.budget, log.told_at, log.budget IS NOT NULL) AS budget,
    argMaxIf(log.objectives, log.told_at, notEmpty(log.objectives)) AS objectives
FROM evolution_runs_log AS log
GROUP BY log.run_id
