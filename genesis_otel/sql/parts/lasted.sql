-- The seconds between two times of milliseconds; NULL if that is unknown, as the second is before the first or one is of another clock.
-- A real 0 is below a millisecond, and stays 0. A lambda, so that their difference stands once: ClickHouse analyses it at each place.
--
-- began: the first time
-- ended: the second time; NULL makes it unknown
arrayMap(ms -> if(ms BETWEEN 0 AND 1000 * @longest(), ms / 1000, NULL), [dateDiff('millisecond', @began, @ended)])[1]
