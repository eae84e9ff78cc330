-- The number of generations in a run's configuration, under the name that OpenEvolve, Genesis or ShinkaEvolve uses; 0 if there is none.
arrayFirst(asked -> asked > 0, [
    JSONExtractInt(config, 'max_iterations'), JSONExtractInt(config, 'evolution', 'num_generations'),
    JSONExtractInt(config, 'evo_config', 'num_generations'), JSONExtractInt(config, 'num_generations')
])
