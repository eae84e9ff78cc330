-- A number of tokens from which on it is somebody's maximum integer, and no count. `_store/tokens.py` has the same number.
--
9223372036854774784
