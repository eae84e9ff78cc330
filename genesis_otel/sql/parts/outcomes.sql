-- How many individuals a group of rows of `climb` has, how many of them failed, and how many are incorrect, as columns. Copies do not count.
--
countIf(NOT copied) AS individuals,
countIf(outcome = 'failed' AND NOT copied) AS failed,
countIf(outcome = 'incorrect' AND NOT copied) AS incorrect
