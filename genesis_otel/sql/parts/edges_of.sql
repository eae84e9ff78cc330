-- Edges from parents to children, each once: `gain` is how much fitter the child is than its parent, in the run's direction,
-- NULL if unknown, or if one of them failed or is incorrect, which has no score. Of an edge that was told again, the last word counts.
-- Texts are compared by their hashes, which takes half of the time: two programs of one run would have to have the same one, of which the
-- chance is below one in a billion with ten million programs in runs of a thousand.
--
-- runs: which, a condition on run_id
-- kept: which of their edges, a condition on code_lineages
SELECT
    run_id, child_id, parent_id, generation, mutation_type, timestamp, edit_summary, position, trace_id, fitness_delta,
    if(
        parent_id = ''
            OR (cityHash64(run_id), cityHash64(child_id)) IN (@unwell(@runs))
            OR (cityHash64(run_id), cityHash64(parent_id)) IN (@unwell(@runs)),
        NULL,
        if(run_id IN (@minimised(@runs)), -1, 1) * fitness_delta
    ) AS gain
FROM code_lineages
WHERE @runs AND @kept
ORDER BY run_id, timestamp DESC
LIMIT 1 BY cityHash64(run_id), cityHash64(child_id, parent_id)
