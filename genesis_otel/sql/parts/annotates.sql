-- Whether an action is what somebody says about a run, at any time: it is no sign of life.
action_type IN ('tag', 'untag', 'note')
