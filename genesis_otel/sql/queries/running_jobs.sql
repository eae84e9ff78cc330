-- Running jobs
--
-- Jobs that were submitted and have neither completed nor failed, longest-running first, with their total number. A job is identified by
-- the `job_id` in its details, or by its individual. A run that ended has none; jobs of a process that was killed remain, unless they were
-- submitted again and ended.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 20: maximum number of rows
SELECT job, individual_id, generation, submitted, @lasted(submitted, now64(3)) AS seconds, count() OVER () AS running
FROM (@jobs(run_id = {run_id:String}))
WHERE ended IS NULL AND (SELECT any(status) FROM evolution_runs WHERE run_id = {run_id:String}) IN ('', 'running')
ORDER BY submitted, job
LIMIT {limit:UInt32}
