-- Generations with breakthroughs
--
-- Generations that improved the previous best score by more than a given share.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- threshold = 0.1: share of the earlier score that the improvement has to exceed; 0.1 is 10 %
SELECT
    generation,
    best_score,
    improvement,
    improvement / nullIf(abs(beaten), 0) AS improvement_pct
FROM (@steps(run_id = {run_id:String}))
WHERE improvement > {threshold:Float64} * abs(beaten)
ORDER BY improvement_pct DESC NULLS FIRST, generation
