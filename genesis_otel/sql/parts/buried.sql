-- Whether an action is the mark that a deletion leaves (`_store/deleted.py`): it is no row of the run.
action_type = 'run_deleted'
