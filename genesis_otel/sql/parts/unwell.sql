-- The individuals that failed or are incorrect, by their latest row, as hashes of run and individual. Individuals all of whose rows are
-- well are left out first: with one failure in five, to find the latest row of all took twice as long.
--
-- runs: which, a condition on run_id
SELECT cityHash64(run_id), cityHash64(individual_id)
FROM (@programs(@runs AND individual_id IN (SELECT individual_id FROM individuals WHERE @runs AND status != 'ok')))
WHERE outcome != 'ok'
