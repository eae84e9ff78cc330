-- Individuals by part of their id
--
-- Individuals of a run by how closely their id matches a text, ids that start with it first; with an empty text the best ones, and with
-- best as well, after one of that id.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual = : text to match
-- limit = 5: maximum number of rows
SELECT
    individual_id,
    individual_id = {individual:String} AS is_it,
    {individual:String} != 'best' AND startsWith(individual_id, {individual:String}) AS begins
FROM (@climb(run_id = {run_id:String}))
ORDER BY
    is_it DESC,
    begins DESC,
    if({individual:String} IN ('', 'best'), 0, ngramDistanceCaseInsensitive(individual_id, {individual:String})),
    height DESC NULLS LAST,
    place
LIMIT {limit:UInt32}
