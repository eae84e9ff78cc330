-- What has arrived of a run, in brief
--
-- How many rows the store has of a run and when the last of them arrived: of individuals and what they come from, of LLM calls (and how
-- many of these have no price), and of everything else. If the answer is the same as before, there is nothing new to ask for; a different one may only mean that rows that
-- arrived twice were merged.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT what, sum(came) AS rows, max(last) AS newest, sum(without_price) AS unpriced
FROM (
    SELECT 'individuals' AS what, count() AS came, max(ingested_at) AS last, 0 AS without_price FROM individuals WHERE run_id = {run_id:String}
    UNION ALL SELECT 'individuals', count(), max(ingested_at), 0 FROM code_lineages WHERE run_id = {run_id:String}
    UNION ALL SELECT 'calls', count(), max(ingested_at), countIf(llm_logs.unpriced) FROM llm_logs WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at), 0 FROM agent_actions WHERE run_id = {run_id:String} AND NOT @buried()
    UNION ALL SELECT 'others', count(), max(ingested_at), 0 FROM generations WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at), 0 FROM pareto_fronts WHERE run_id = {run_id:String}
    UNION ALL SELECT 'others', count(), max(ingested_at), 0 FROM evolution_runs_log WHERE run_id = {run_id:String}
)
GROUP BY what
HAVING rows > 0
ORDER BY what
