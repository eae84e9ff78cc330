-- The least that a raw span takes, in nanoseconds: 0 for records of a moment.
--
if(SpanAttributes['genesis.record'] IN ('action', 'lineage') OR SpanAttributes['genesis.run.status'] = 'running', 0, 1)
