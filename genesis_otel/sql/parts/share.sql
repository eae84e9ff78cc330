-- The share of a budget that a cost is; NULL without a budget, or of one of 0. It is rounded: three calls of 0.1 spend all of 0.3, and not
-- more, although their sum is 0.30000000000000004.
--
-- cost: an expression
-- allowed: the budget, an expression
if(@allowed > 0, round(@cost / @allowed, 12), NULL)
