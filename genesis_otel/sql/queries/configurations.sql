-- Compare configurations
--
-- The configuration of every run of a task, newest first.
--
-- task: name of the task, e.g. circle_packing
SELECT run_id, task_name, config
FROM evolution_runs
WHERE task_name = {task:String}
ORDER BY start_time DESC
