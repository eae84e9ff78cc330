-- Active runs
--
-- Runs whose status is running: those that go on, and those that died without a word. `runs` says how long each is silent.
--
SELECT run_id, task_name, start_time, total_generations
FROM evolution_runs
WHERE status = 'running'
ORDER BY start_time DESC
