-- Individuals of runs in the order in which they finished, with their run's best so far; for the columns see `climbing`.
--
-- runs: which, a condition on run_id
@climbing(@runs, (@programs(@runs)), run_id)
