-- Evaluation jobs, each once: when it was submitted, when it ended, and how many seconds it took, including the wait for a worker.
-- A job is identified by the `job_id` in its details, or by its individual; `ended` is NULL while it is
-- running, and `seconds` also if it is unknown.
--
-- runs: which, a condition on run_id
SELECT
    run_id, job, any(individual) AS individual_id, max(of_generation) AS generation,
    minIf(at, kind = 'job_submitted') AS submitted,
    if(countIf(kind != 'job_submitted') > 0, maxIf(at, kind != 'job_submitted'), NULL) AS ended,
    countIf(kind = 'job_failed') > 0 AS failed,
    @lasted(submitted, ended) AS seconds
FROM (
    SELECT
        run_id, timestamp AS at, toString(action_type) AS kind, individual_id AS individual, generation AS of_generation,
        @job() AS job
    FROM agent_actions
    WHERE @runs AND action_type IN ('job_submitted', 'job_completed', 'job_failed')
)
GROUP BY run_id, job
HAVING countIf(kind = 'job_submitted') > 0
