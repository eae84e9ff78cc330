-- Model selection
--
-- What a search that chooses models by their results (a bandit) knew of each model, oldest first: the states that reached the store after a
-- given time, evenly sampled if there are more than the limit. The names of the numbers are the search's own.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- since = 0: only what was stored after this time, in milliseconds since 1970
-- states = 400: maximum number of states
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
