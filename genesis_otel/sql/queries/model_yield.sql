-- What money bought
--
-- Improvements and gain per dollar, by model and by mutation type, each with the interval of 90 % that a bootstrap over individuals gives
-- (the same rows, the same interval; NULL where there is no improvement or less than five individuals). An improvement is better than all
-- individuals before it, and counts for the model of its last answered mutation call; a model's cost is that of all its calls.
-- Individuals with a call without a price are left out of all but `unpriced`, which counts those calls.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    what, name, individuals, improvements, gain, cost, unpriced, improvements_per_dollar, improvements_low, improvements_high,
    gain_per_dollar, gain_low, gain_high
FROM (@earned(run_id = {run_id:String}))
ORDER BY what, gain_per_dollar DESC NULLS LAST, name
