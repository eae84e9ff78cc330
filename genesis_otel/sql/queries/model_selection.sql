-- Choice of models
--
-- What a search that chooses among models by what they bring (a bandit) knew of each, oldest first: the states that the store took in
-- after a moment, or of more than so many states some at even steps. The names of the numbers are the search's own.
--
-- run_id = latest: the run: its id, the beginning of it, or latest
-- since = 0: milliseconds since 1970; those that came later
-- states = 400: how many states at most
SELECT timestamp, generation, strategy, models, ingested_at
FROM (
    SELECT
        timestamp, generation,
        JSONExtractString(details, 'strategy') AS strategy,
        JSONExtractRaw(details, 'models') AS models,
        ingested_at,
        row_number() OVER (ORDER BY timestamp DESC, span_id) AS back,
        count() OVER () AS found
    FROM agent_actions FINAL
    WHERE run_id = {run_id:String} AND action_type = 'model_selection' AND ingested_at > fromUnixTimestamp64Milli({since:Int64})
)
WHERE (back - 1) % toUInt64(ceil(found / {states:UInt32})) = 0
ORDER BY timestamp, ingested_at
