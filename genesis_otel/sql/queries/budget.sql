-- Budget of a run
--
-- What a run has cost in USD, what its last hour cost (`burn`), what it will have cost at its end and how many seconds are left until then
-- (where the configuration says how many generations there will be), what it may cost (`allowed`), the share of that which is spent, and for
-- how many seconds the rest lasts. `unpriced` calls have no price and are in none of it.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- budget = 0: USD for a run that was given no budget; 0 for none
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
SELECT run_id, status, cost, unpriced, burn, planned, done, projected, seconds_left, allowed, share, budget_seconds
FROM (@burn(run_id = {run_id:String}, {stalled_after:UInt32}, nullIf({budget:Float64}, 0)))
