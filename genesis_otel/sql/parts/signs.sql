-- The signs of life of runs, with their times: every row other than a tag or a note, those of a run's beginnings and ends among them. A
-- run that is resumed is not silent since the time before its pause.
--
SELECT run_id, timestamp AS at FROM individuals
UNION ALL SELECT run_id, timestamp FROM generations
UNION ALL SELECT run_id, timestamp FROM llm_logs
UNION ALL SELECT run_id, timestamp FROM agent_actions WHERE NOT @annotates()
UNION ALL SELECT run_id, greatest(start_time, end_time) FROM evolution_runs_log
