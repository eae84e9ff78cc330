-- The seconds between two times of milliseconds; NULL if that is unknown, as the second is before the first or one is of another clock.
-- A real 0 is below a millisecond, and stays 0.
--
-- began: the first time
-- ended: the second time; NULL makes it unknown
if(dateDiff('millisecond', @began, @ended) BETWEEN 0 AND 1000 * @longest(), dateDiff('millisecond', @began, @ended) / 1000, NULL)
