-- Individuals by a part of their id
--
-- Individuals of a run by how much their id resembles a text: those that begin with it before all others; with an empty
-- text, the best ones.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- individual = : the text
-- limit = 5: how many
SELECT individual_id, individual_id = {individual:String} AS is_it, startsWith(individual_id, {individual:String}) AS begins
FROM (@climb(run_id = {run_id:String}))
ORDER BY
    is_it DESC,
    begins DESC,
    if({individual:String} = '', 0, ngramDistanceCaseInsensitive(individual_id, {individual:String})),
    height DESC NULLS LAST,
    place
LIMIT {limit:UInt32}
