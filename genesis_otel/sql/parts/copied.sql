-- Whether an individual is only a copy, like a migrant between islands: it is neither a discovery nor an improvement.
mutation_type IN ('migration', 'migrant', 'copy')
