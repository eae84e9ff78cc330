-- Island leaders
--
-- The individuals of each island that beat all before them there, in the order in which they finished: the best of each island over time. A
-- run without islands has no rows.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT island, individual_id, generation, timestamp, best_so_far
FROM (
    @climbing(
        run_id = {run_id:String},
        (SELECT * FROM (@programs(run_id = {run_id:String})) WHERE island != ''),
        (run_id, island)
    )
)
WHERE leads
ORDER BY timestamp, individual_id
