-- What a group of rows of `climb` has found, as columns: those of a run, or of one of its generations. The best individual is the first
-- one to reach the best score; `way` is the rows' sign.
-- Stagnation is measured by the run's own rhythm, in individuals: `waited` counts those since the best, and `patience` is how many
-- such a search may reasonably need: twice the longest wait that ended in an improvement, ten generations of its mean size, and at
-- least 50, because a generation may be a single program. When `waited` reaches `patience`, the run is stagnant.
--
any(sign) AS way,
@outcomes(),
way * max(height) AS best_score,
@of_best(individual_id) AS best_individual,
@of_best(generation) AS best_generation,
countIf(improved) AS improvements,
@total_gain() AS gained,
max(generation) AS newest,
if(best_score IS NULL, NULL, newest - best_generation) AS since_improvement,
if(best_score IS NULL, NULL, individuals - @of_best(evaluated)) AS waited,
greatest(
    50,
    10 * individuals / greatest(1, uniqExact(generation)),
    toFloat64(2 * arrayMax(arrayDifference(arrayPushFront(arraySort(groupArrayIf(evaluated, improved)), 0))))
) AS patience,
ifNull(waited >= patience, false) AS stagnant,
min(timestamp) AS first,
max(timestamp) AS last,
groupArrayIf(timestamp, NOT copied) AS times
