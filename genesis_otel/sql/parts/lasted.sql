-- The seconds between two times, of the milliseconds between them; NULL if that is unknown, as the second is before the first or one is of
-- another clock. A real 0 is below a millisecond, and stays 0. A lambda, so that the times are named once: ClickHouse analyses them at each
-- place that names them.
--
-- milliseconds: how many; NULL makes it unknown
arrayMap(ms -> if(ms BETWEEN 0 AND 1000 * @longest(), ms / 1000, NULL), [@milliseconds])[1]
