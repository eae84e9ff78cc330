-- Actions in detail
--
-- What a search did apart from its jobs (archives, cells, migrations, choices, stops, rewritten prompts), newest first, with the details it
-- recorded.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- action = : only actions of this type
-- characters = 4000: maximum length of the details
-- limit = 300: maximum number of rows
SELECT timestamp, action_type, generation, individual_id, substringUTF8(agent_actions.details, 1, {characters:UInt32}) AS details, lengthUTF8(agent_actions.details) AS length, trace_id
FROM agent_actions FINAL
WHERE run_id = {run_id:String}
    AND if({action:String} = '', NOT startsWith(action_type, 'job_') AND action_type NOT IN ('tag', 'untag', 'note', 'model_selection'), action_type = {action:String})
ORDER BY timestamp DESC, span_id
LIMIT {limit:UInt32}
