-- What decides which of the rows of an individual counts: the one for which this is greatest. A copy with the same id, like a survivor that
-- is recorded in a later generation, counts only if there is no other row; of rows of the same millisecond, the one with the greater span
-- id counts, whichever arrived last. What is paid for each (`paid`) leaves the span out.
--
(NOT @copied(), timestamp, span_id)
