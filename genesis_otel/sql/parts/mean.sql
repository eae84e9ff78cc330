-- The mean of a group's numbers, right also where their sum is beyond the largest number, 1.8e308: then of their 2^40ths, which is exact.
-- Without `materialize`, ClickHouse would take the constant out of the mean again.
--
-- value: an expression
if(isInfinite(avg(@value)), avg((@value) / materialize(1099511627776)) * 1099511627776, avg(@value))
