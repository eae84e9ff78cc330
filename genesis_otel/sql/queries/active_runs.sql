-- Active runs
--
-- Runs that have not ended: those still going, and stalled ones that died without reporting an end.
--
-- stalled_after = 900: seconds without a sign of life after which a run is stalled
-- alive = []: runs that are not stalled, as their process is alive
SELECT run_id, task_name, start_time, total_generations, status
FROM (@state(1, {stalled_after:UInt32}, {alive:Array(String)}))
WHERE open
ORDER BY start_time DESC
