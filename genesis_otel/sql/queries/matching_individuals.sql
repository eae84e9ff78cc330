-- Individuals by part of their id
--
-- Individuals of a run by how closely their id matches a text, ids that start with it first; with an empty text the best ones, and with
-- best as well, after an individual of that id. `scored` is false for those that cannot be the best: they failed, or have no score.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual = : text to match
-- limit = 5: maximum number of rows
SELECT
    individual_id, individual_id = {individual:String} AS is_it,
    {individual:String} != 'best' AND startsWith(individual_id, {individual:String}) AS begins,
    height IS NOT NULL AS scored
FROM (@climb(run_id = {run_id:String}))
ORDER BY
    is_it DESC,
    begins DESC,
    if({individual:String} IN ('', 'best'), 0, ngramDistanceCaseInsensitive(individual_id, {individual:String})),
    height DESC NULLS LAST,
    place
LIMIT {limit:UInt32}
