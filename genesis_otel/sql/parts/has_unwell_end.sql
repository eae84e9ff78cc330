-- Whether the child or the parent of an edge failed or is incorrect (`unwell`): its gain is unknown.
--
-- runs: which, a condition on run_id
-- run: the edge's run
(cityHash64(@run), cityHash64(child_id)) IN (@unwell(@runs))
    OR (cityHash64(@run), cityHash64(parent_id)) IN (@unwell(@runs))
