-- The longest that anything lasts in seconds, ten years. What lasted longer has a start and an end of two clocks. A start of 0 is 1970, and
-- so are the time since a machine's start and seconds that were given as nanoseconds. `_emit/lasting.py` has the same number.
--
315360000
