-- Actions
--
-- How often each kind of action happened, and when last: jobs submitted, completed and failed, archive updates, ...
--
-- run_id = : one run alone: its id, the beginning of it, or latest; all runs by default
SELECT action_type, count() AS count, max(timestamp) AS last
FROM agent_actions
WHERE {run_id:String} = '' OR run_id = {run_id:String}
GROUP BY action_type
ORDER BY count DESC, action_type
