-- Whether a run is minimised: what it told last; without a word it is maximised.
argMaxIf(log.direction, log.told_at, log.direction != '') = 'min'
