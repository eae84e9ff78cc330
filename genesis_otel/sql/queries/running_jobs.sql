-- Running jobs
--
-- Jobs that were submitted and have neither completed nor failed, longest-running first, with their total number. A job is identified by
-- the `job_id` in its details, or by its individual. A run that ended has none; jobs of a process that was killed remain.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 20: maximum number of rows
SELECT
    if(JSONExtractString(details, 'job_id') != '', JSONExtractString(details, 'job_id'), actions.individual_id) AS job,
    any(actions.individual_id) AS individual_id,
    max(actions.generation) AS generation,
    maxIf(timestamp, action_type = 'job_submitted') AS submitted,
    @lasted(submitted, now64(3)) AS seconds,
    count() OVER () AS running
FROM agent_actions AS actions
WHERE run_id = {run_id:String}
    AND action_type IN ('job_submitted', 'job_completed', 'job_failed')
    AND (SELECT any(status) FROM evolution_runs WHERE run_id = {run_id:String}) IN ('', 'running')
GROUP BY job
HAVING uniqExactIf(span_id, action_type = 'job_submitted') > uniqExactIf(span_id, action_type != 'job_submitted')
ORDER BY submitted, job
LIMIT {limit:UInt32}
