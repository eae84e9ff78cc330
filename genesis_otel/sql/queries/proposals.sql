-- Proposals before their evaluation
--
-- What became of proposals before they were evaluated, by mutation type: how many patches could not be applied (`unapplied`), how many
-- individuals were compared with others and how similar the most similar one was on average, how often a model judged the novelty
-- (`judged`) and what that cost in USD, how often a proposal was rejected as not novel, and how many individuals came to nothing
-- before their evaluation (`given_up`), for lack of novelty (`not_novel`) or otherwise. `rejected` is unknown if the search records no
-- similarities and no rejections. Only of searches that do this; ShinkaEvolve records all of it, others only what models judged.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
SELECT
    i.mutation_type AS mutation_type,
    count() AS individuals,
    sum(a.unapplied) AS unapplied,
    count(i.similarity) AS compared,
    avg(i.similarity) AS similarity,
    sum(c.judged) AS judged,
    if(compared = 0 AND sum(a.rejected) = 0, NULL, sum(a.rejected)) AS rejected,
    countIf(i.stage != '') AS given_up,
    countIf(i.stage = 'novelty') AS not_novel,
    sum(c.cost) AS cost,
    sum(c.unpriced) AS unpriced
FROM (
    SELECT
        individual_id, mutation_type,
        JSONExtract(metadata, 'max_similarity', 'Nullable(Float64)') AS similarity,
        JSONExtractString(metadata, 'failure_stage') AS stage
    FROM individuals
    WHERE run_id = {run_id:String} AND individual_id != '' AND NOT @copied()
    ORDER BY @latest() DESC
    LIMIT 1 BY individual_id
) AS i
LEFT JOIN (
    SELECT
        individual_id,
        uniqExactIf(span_id, action_type = 'patch_failed') AS unapplied,
        uniqExactIf(span_id, action_type = 'novelty_rejected') AS rejected
    FROM agent_actions
    WHERE run_id = {run_id:String} AND action_type IN ('patch_failed', 'novelty_rejected')
    GROUP BY individual_id
) AS a ON a.individual_id = i.individual_id
LEFT JOIN (
    SELECT individual_id, count() AS judged, sum(llm_logs.cost) AS cost, countIf(llm_logs.unpriced) AS unpriced
    FROM llm_logs FINAL
    WHERE run_id = {run_id:String} AND role = 'novelty' AND operation != 'embeddings' AND status = 'ok'
    GROUP BY individual_id
) AS c ON c.individual_id = i.individual_id
GROUP BY mutation_type
HAVING unapplied + compared + judged + given_up + ifNull(rejected, 0) > 0
ORDER BY individuals DESC, mutation_type
