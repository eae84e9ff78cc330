-- The value of an objective, over the columns of a member of a front, with the sign that makes more better; NULL if it is not known.
--
-- name: the objective
-- way: max or min
if(@way = 'min', -1, 1) * multiIf(
    JSONHas(metrics, @name), if(isFinite(JSONExtractFloat(metrics, @name)), JSONExtract(metrics, @name, 'Nullable(Float64)'), NULL),
    @name IN ('fitness', 'fitness_score'), fitness_score,
    @name IN ('combined', 'combined_score'), combined_score,
    NULL
)
