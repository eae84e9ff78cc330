-- Generations with breakthroughs
--
-- Generations whose best score is above that of the one before by more than a share of it. QUALIFY, because a HAVING
-- may not look at a window function.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- threshold = 0.1: how much of the earlier score the improvement has to be; 0.1 is 10 %
SELECT
    generation,
    best_score,
    best_score - lagInFrame(best_score, 1, best_score) OVER (ORDER BY generation) AS improvement,
    improvement / abs(lagInFrame(best_score, 1, best_score) OVER (ORDER BY generation)) AS improvement_pct
FROM generations
WHERE run_id = {run_id:String}
QUALIFY improvement_pct > {threshold:Float64}
ORDER BY improvement_pct DESC, generation
