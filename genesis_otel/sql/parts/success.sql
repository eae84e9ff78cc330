-- How often children beat a parent, as columns over rows of `edges`. Each pair of a child and a parent counts once, so a child of two
-- parents counts twice; one that failed or is incorrect beats nobody.
--
count() AS pairs,
countIf(gain > 0) AS beaten
