-- Best individual of a task
--
-- The best programs that any run of a task has found, in the direction of the runs.
--
-- task: name of the task, e.g. circle_packing
-- limit = 1: maximum number of rows
SELECT run_id, individual_id, generation, fitness_score, metrics
FROM (@climb(run_id IN (SELECT run_id FROM evolution_runs WHERE task_name = {task:String})))
WHERE height IS NOT NULL
ORDER BY height DESC, timestamp, individual_id
LIMIT {limit:UInt32}
