-- Of a group of rows of `climb`, a value of the best individual, which is the first one to reach the best score.
--
-- value: a column
argMaxIf(@value, (height, -place), height IS NOT NULL)
