-- What money bought
--
-- Improvements and gain per dollar, by model and by mutation type, each with a 90 % bootstrap interval over individuals (the same rows give
-- the same interval; NULL if there is no improvement or there are fewer than five individuals). An improvement beats all individuals before
-- it, and is credited to the model of its last answered mutation call; a model's cost is that of all its calls. Individuals with an
-- unpriced call count only in `unpriced`, which is the number of those calls.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
@earned(run_id = {run_id:String})
ORDER BY what, gain_per_dollar DESC NULLS LAST, name
