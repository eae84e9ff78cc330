-- Breakthrough generations
--
-- How much the best score of each generation is above that of the one before, largest first.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
SELECT
    generation,
    best_score,
    best_score - lagInFrame(best_score, 1, best_score) OVER (ORDER BY generation) AS improvement
FROM generations
WHERE run_id = {run_id:String}
ORDER BY improvement DESC, generation
