-- The status that a run told last.
argMax(log.status, (log.told_at, log.end_time))
