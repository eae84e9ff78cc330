-- A score as text, with at most six decimal places, and with six digits if it is so small or large that these would say 0, or infinity
-- (`number` in _read/format.py); NULL if there is none.
--
-- score: an expression
if(isFinite(@score) AND @score != 0 AND (abs(@score) < 1e-4 OR abs(@score) >= 1e15), printf('%.6g', @score), toString(round(@score, 6)))
