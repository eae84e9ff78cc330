-- Actions
--
-- How often each type of action occurred, and when it last did: jobs submitted, completed and failed, archive updates, ...
--
-- run_id = : only this run: its id, a prefix of it, or latest; all runs by default
SELECT action_type, count() AS count, max(timestamp) AS last
FROM agent_actions FINAL
WHERE {run_id:String} = '' OR run_id = {run_id:String}
GROUP BY action_type
ORDER BY count DESC, action_type
