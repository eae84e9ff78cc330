-- The runs that are minimised, from the log itself: to analyse the view takes 2 ms of CPU more wherever it is named.
--
-- runs: which, a condition on run_id
SELECT log.run_id FROM evolution_runs_log AS log WHERE @runs GROUP BY log.run_id HAVING @minimises()
