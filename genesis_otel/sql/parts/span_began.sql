-- When a raw span began; if its duration is unknown, the time at which it ended, the only one that is known.
--
toDateTime64(Timestamp, 9) + toIntervalNanosecond(if(@span_took(1) IS NULL, greatest(toInt64(Duration), 0), 0))
