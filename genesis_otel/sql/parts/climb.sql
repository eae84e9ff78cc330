-- Individuals of runs in the order in which they finished, with the best of their run so far, as `climbing` has it.
--
-- runs: which, a condition on run_id
@climbing(@runs, (@programs(@runs)), run_id)
