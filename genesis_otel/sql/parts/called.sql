-- What the stages of llm_logs pass on of a call once it is known: its columns without messages and tokens.
--
id, timestamp, model, cost, execution_time, metadata, run_id, generation, individual_id, role, provider, operation,
response_model, finish_reason, status, error, cached_tokens, cache_write_tokens, time_to_first_token, cost_source, trace_id,
span_id, parent_span_id, response_id
