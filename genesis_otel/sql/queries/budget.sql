-- Budget of a run
--
-- What a run has cost in USD, what its last hour cost (`burn`), its projected cost at the end and the seconds left until then (if the
-- configuration gives the number of generations), what it may cost (`allowed`), the share of that already spent, and how many seconds the
-- rest will last. `unpriced` calls have no price and are not included.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- budget = 0: USD for a run that has no budget of its own; 0 for none
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
-- alive = []: runs that are not stalled, as their process is alive
SELECT run_id, status, cost, unpriced, burn, planned, done, projected, seconds_left, allowed, share, budget_seconds
FROM (@burn(run_id = {run_id:String}, {stalled_after:UInt32}, {alive:Array(String)}, nullIf({budget:Float64}, 0)))
