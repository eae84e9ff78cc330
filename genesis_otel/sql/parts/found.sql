-- What each run has found, a row a run. The best individual is the first one to reach the best score.
--
-- runs: which, a condition on run_id
SELECT
    run_id,
    countIf(NOT copied) AS individuals,
    countIf(outcome = 'failed' AND NOT copied) AS failed,
    countIf(outcome = 'incorrect' AND NOT copied) AS incorrect,
    any(sign) * max(height) AS best_score,
    argMaxIf(individual_id, (height, -place), height IS NOT NULL) AS best_individual,
    argMaxIf(generation, (height, -place), height IS NOT NULL) AS best_generation,
    countIf(improved) AS improvements,
    sum(gain) AS gained,
    max(generation) AS newest,
    if(best_score IS NULL, NULL, newest - best_generation) AS since_improvement,
    min(timestamp) AS first,
    max(timestamp) AS last
FROM (@climb(@runs))
GROUP BY run_id
