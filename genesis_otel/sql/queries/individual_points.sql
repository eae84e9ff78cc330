-- Individuals as points
--
-- Every individual of a run, once however often it was delivered, in the order in which they finished, with what a plot needs: its score,
-- cost in USD and origin; how many seconds the run had lasted (NULL if its start is unknown), what it had spent and which generation it had
-- reached by then; the best so far, and whether it is an improvement.
--
-- run_id = latest: the run: its id, a prefix of it, or latest
-- limit = 100000: maximum number of rows, the newest
WITH (SELECT min(start_time) FROM evolution_runs WHERE run_id = {run_id:String}) AS began
SELECT
    p.individual_id AS individual_id,
    p.generation AS generation,
    @lasted(began, greatest(began, p.timestamp)) AS seconds,
    p.score AS score,
    p.outcome AS status,
    p.copied AS copied,
    p.mutation_type AS mutation_type,
    (p.generation, p.individual_id) IN (SELECT generation, individual_id FROM (@front(run_id = {run_id:String}))) AS is_pareto,
    c.cost AS cost,
    c.unpriced AS unpriced,
    p.parent_id AS parent_id,
    p.island AS island,
    p.trace_id AS trace_id,
    p.best_so_far AS best_so_far,
    p.improved AS improved,
    p.gain AS gain,
    p.reached AS reached,
    s.so_far AS spent
FROM (
    @climb(run_id = {run_id:String})
    ORDER BY place DESC
    LIMIT {limit:UInt32}
) AS p
LEFT JOIN (@cost_of_each(run_id = {run_id:String})) AS c ON c.individual_id = p.individual_id AND NOT p.copied
LEFT ASOF JOIN (@spent_so_far(run_id = {run_id:String})) AS s ON s.run_id = p.run_id AND s.timestamp <= p.timestamp
ORDER BY p.place
