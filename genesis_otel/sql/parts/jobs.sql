-- Evaluation jobs, each once: when it was submitted, when it ended, and how many seconds it took, including the wait for a worker.
-- A job is identified by the `job_id` in its details, or by its individual; `ended` is NULL while it is running, and `seconds` also if it
-- is unknown. Of one that was submitted again, the last time counts: it is running if fewer ends than submissions are known, and none after it
-- (hosts' clocks may differ).
--
-- runs: which, a condition on run_id
SELECT
    run_id, job, any(individual) AS individual_id, max(of_generation) AS generation,
    maxIf(at, kind = 'job_submitted') AS submitted,
    maxOrNullIf(at, kind != 'job_submitted') AS last_end,
    if(last_end <= submitted AND uniqExactIf(span_id, kind = 'job_submitted') > uniqExactIf(span_id, kind != 'job_submitted'), NULL, last_end) AS ended,
    ended IS NOT NULL AND argMaxIf(kind, at, kind != 'job_submitted') = 'job_failed' AS failed,
    @lasted(submitted, ended) AS seconds
FROM (
    SELECT
        run_id, timestamp AS at, toString(action_type) AS kind, individual_id AS individual, generation AS of_generation,
        span_id, @job() AS job
    FROM agent_actions
    WHERE @runs AND action_type IN ('job_submitted', 'job_completed', 'job_failed')
)
GROUP BY run_id, job
HAVING countIf(kind = 'job_submitted') > 0
