-- The number of a run's generations: those recorded, or the number told at its end, whichever is greater.
--
-- recorded: as in `counted`
-- told: as in `folded`, `total_generations`
greatest(@recorded, toUInt64(greatest(0, @told)))
