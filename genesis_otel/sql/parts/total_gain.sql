-- What a group of rows of `climb` gained in all, at most the largest number there is, as a single `gain`.
--
least(sum(gain), 1.7976931348623157e308)
