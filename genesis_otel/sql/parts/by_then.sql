-- The best score that a run had reached when the last individual of a generation and of those before it had finished, given for each
-- generation the sign (`way`) and the highest `top` of its individuals (`peak`).
--
-- within: the columns that define whose generations
way * max(peak) OVER (PARTITION BY @within ORDER BY generation ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
