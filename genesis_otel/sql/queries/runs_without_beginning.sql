-- Runs without a beginning
--
-- Runs of which the store has generations or individuals but no word of their beginning, those that gave a sign of life last first: it
-- may be on its way, wait in a spool, or be lost. Their task, status and direction are not known, and their best score is the highest.
--
-- limit = 20: maximum number of rows
WITH (
    SELECT groupArray(run_id)
    FROM (
        SELECT run_id
        FROM (
            SELECT run_id, max(timestamp) AS last FROM individuals WHERE run_id NOT IN (SELECT run_id FROM evolution_runs_log) GROUP BY run_id
            UNION ALL SELECT run_id, max(timestamp) FROM generations WHERE run_id NOT IN (SELECT run_id FROM evolution_runs_log) GROUP BY run_id
        )
        WHERE run_id != ''
        GROUP BY run_id
        ORDER BY max(last) DESC, run_id
        LIMIT {limit:UInt32}
    )
) AS picked
SELECT
    p.run_id AS run_id,
    p.first AS start_time,
    g.recorded AS generations,
    f.individuals AS individuals,
    f.failed AS failed,
    f.incorrect AS incorrect,
    f.best_score AS best_score,
    f.best_individual AS best_individual,
    f.gained AS gained,
    f.since_improvement AS since_improvement,
    c.cost AS cost,
    c.unpriced AS unpriced,
    p.last AS last_seen,
    greatest(0, dateDiff('millisecond', p.last, now64(3))) / 1000 AS silent_seconds
FROM (
    SELECT run_id, min(at) AS first, max(at) AS last
    FROM (
        SELECT run_id, timestamp AS at FROM individuals WHERE run_id IN (SELECT arrayJoin(picked))
        UNION ALL SELECT run_id, timestamp FROM generations WHERE run_id IN (SELECT arrayJoin(picked))
    )
    GROUP BY run_id
) AS p
LEFT JOIN (@counted(run_id IN (SELECT arrayJoin(picked)))) AS g ON g.run_id = p.run_id
LEFT JOIN (@found(run_id IN (SELECT arrayJoin(picked)))) AS f ON f.run_id = p.run_id
LEFT JOIN (@cost(run_id IN (SELECT arrayJoin(picked)))) AS c ON c.run_id = p.run_id
ORDER BY last_seen DESC, run_id
