-- New evaluation jobs
--
-- The evaluation jobs of a run of which anything reached the store after a given time, oldest first: when each was submitted, how many
-- seconds it took, including the wait for a worker, and whether it failed. `ended` is NULL while it is running; so is `seconds`, and also if
-- it ended before it was submitted, by the clocks of two machines. `job` is empty where the individual identifies it. A job may be returned
-- twice: the later row counts.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- limit = 200000: maximum number of rows
SELECT
    if(j.job = j.individual_id, '', j.job) AS job,
    j.individual_id AS individual_id,
    j.submitted AS submitted,
    j.ended AS ended,
    j.seconds AS seconds,
    j.failed AS failed,
    t.ingested AS ingested_at
FROM (
    @jobs(
        run_id = {run_id:String} AND individual_id IN (
            SELECT individual_id
            FROM agent_actions
            WHERE run_id = {run_id:String} AND startsWith(action_type, 'job_') AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
        )
    )
) AS j
INNER JOIN (
    SELECT @job() AS of_job, max(ingested_at) AS ingested
    FROM agent_actions
    WHERE run_id = {run_id:String} AND startsWith(action_type, 'job_') AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
    GROUP BY of_job
) AS t ON t.of_job = j.job
ORDER BY ingested_at, submitted, j.job
LIMIT {limit:UInt32}
