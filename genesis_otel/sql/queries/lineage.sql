-- Lineage of an individual
--
-- An individual and its ancestors, the seed first; where there are several parents, the first is followed. It goes back 1,000 steps, or in
-- a run with few generations two steps per generation; the `lineage` command shows more, and goes back to the seed.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- individual_id = : the individual; the best one by default
@ancestry(
    run_id = {run_id:String},
    if({individual_id:String} != '', {individual_id:String}, (SELECT any(best_individual) FROM (@found(run_id = {run_id:String} AND {individual_id:String} = ''))))
)
