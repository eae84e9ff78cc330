-- Cost breakdown by component
--
-- What a run's individuals cost in USD: mutations, embeddings, novelty judgements. `run_cost` is the run's total cost, and `unpriced` the
-- number of its calls that have no price.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
WITH (SELECT (sum(cost), sum(unpriced)) FROM (@cost(run_id = {run_id:String}))) AS whole
SELECT
    sum(api_cost) AS total_mutation_cost,
    sum(embed_cost) AS total_embedding_cost,
    sum(novelty_cost) AS total_novelty_cost,
    sum(api_cost + embed_cost + novelty_cost) AS total_cost,
    whole.1 AS run_cost,
    whole.2 AS unpriced
FROM (@programs(run_id = {run_id:String}))
WHERE NOT copied AND isFinite(api_cost + embed_cost + novelty_cost)
