-- Actions in detail
--
-- What a search did besides its jobs (archives, cells, migrations, choices, stops, prompts that were rewritten), newest first, with what it told.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- action = : actions of this type alone
-- characters = 4000: how many of the details
-- limit = 300: how many
SELECT timestamp, action_type, generation, individual_id, substringUTF8(agent_actions.details, 1, {characters:UInt32}) AS details, lengthUTF8(agent_actions.details) AS length, trace_id
FROM agent_actions FINAL
WHERE run_id = {run_id:String}
    AND if({action:String} = '', NOT startsWith(action_type, 'job_') AND action_type NOT IN ('tag', 'untag', 'note', 'model_selection'), action_type = {action:String})
ORDER BY timestamp DESC, span_id
LIMIT {limit:UInt32}
