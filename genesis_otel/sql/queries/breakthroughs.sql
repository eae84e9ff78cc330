-- Generations with breakthroughs
--
-- Generations that gained more than a share of the best score before them.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- threshold = 0.1: how much of the earlier score the improvement has to be; 0.1 is 10 %
SELECT
    generation,
    best_score,
    improvement,
    improvement / nullIf(abs(best_so_far - sign * improvement), 0) AS improvement_pct
FROM (@steps(run_id = {run_id:String}))
WHERE improvement > {threshold:Float64} * abs(best_so_far - sign * improvement)
ORDER BY improvement_pct DESC NULLS FIRST, generation
