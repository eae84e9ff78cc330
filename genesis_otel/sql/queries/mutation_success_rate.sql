-- Mutation success rate
--
-- How often each mutation type beats a parent, out of all pairs of a child and a parent, and the mean gain where it is known.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT mutation_type, pairs AS total, beaten AS improvements, beaten / pairs AS success_rate, avg_delta, avg_gain
FROM (
    SELECT mutation_type, @success(), @mean(fitness_delta) AS avg_delta, @mean(gain) AS avg_gain
    FROM (@edges(run_id = {run_id:String}))
    WHERE generation > 0
    GROUP BY mutation_type
)
ORDER BY success_rate DESC, mutation_type
