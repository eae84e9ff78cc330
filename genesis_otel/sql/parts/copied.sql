-- Whether an individual was only brought somewhere else, as migrants between islands are: it is no discovery and no improvement.
mutation_type IN ('migration', 'migrant', 'copy')
