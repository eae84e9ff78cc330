-- Whether an individual has a row that fulfils a condition: of such a one all rows are read, as the newest that arrived may not be the one
-- that counts.
--
-- rows: a condition on individuals
individual_id IN (SELECT individual_id FROM individuals WHERE @rows)
