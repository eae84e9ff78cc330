-- How many nanoseconds a raw span took; NULL if that is unknown. Its start may be 0, which is none, it may have ended before it began, or
-- start and end may be of two clocks. A span without a known start is stored as one of 0 ns at its end, so that only records of a moment,
-- which end as they begin, took 0 ns.
--
-- least: 1, or what `span_least` says of it
if(
    toUnixTimestamp64Nano(toDateTime64(Timestamp, 9)) != 0 AND toInt64(Duration) BETWEEN @least AND 1000000000 * @longest(),
    toInt64(Duration),
    NULL
)
