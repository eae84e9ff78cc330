-- What has arrived of a run, in brief
--
-- How many rows the store has of a run and when the last of them arrived: of individuals and what they come from, of LLM calls, and of
-- everything else. If the answer is the same as before, there is nothing new to ask for; a different one may only mean that rows that
-- arrived twice were merged.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT what, sum(came) AS rows, max(last) AS newest
FROM (
    SELECT 'individuals' AS what, count() AS came, max(ingested_at) AS last FROM individuals WHERE run_id = {run_id:String}
    UNION ALL SELECT 'individuals', count(), max(ingested_at) FROM code_lineages WHERE run_id = {run_id:String}
    UNION ALL SELECT 'calls', count(), max(ingested_at) FROM llm_logs WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at) FROM agent_actions WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at) FROM generations WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at) FROM pareto_fronts WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at) FROM evolution_runs_log WHERE run_id = {run_id:String}
)
GROUP BY what
HAVING rows > 0
ORDER BY what
