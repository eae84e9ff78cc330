-- Best individual of a task
--
-- The best programs that any run of a task has found.
--
-- task: name of the task, e.g. circle_packing
-- limit = 1: how many
SELECT i.run_id AS run_id, i.individual_id AS individual_id, i.generation AS generation, i.fitness_score AS fitness_score, i.metrics AS metrics
FROM individuals AS i
INNER JOIN evolution_runs AS r ON i.run_id = r.run_id
WHERE r.task_name = {task:String} AND i.status = 'ok'
ORDER BY i.fitness_score DESC, i.timestamp
LIMIT {limit:UInt32}
