-- Generations that a run's configuration asks for, as OpenEvolve, Genesis and ShinkaEvolve call it; 0 where none of them does.
arrayFirst(asked -> asked > 0, [
    JSONExtractInt(config, 'max_iterations'), JSONExtractInt(config, 'evolution', 'num_generations'),
    JSONExtractInt(config, 'evo_config', 'num_generations'), JSONExtractInt(config, 'num_generations')
])
