-- Whether a row of `llm_read` takes the short way to `llm_logs`: exactly one of the two ways has each call.
--
is_told_simply AND (asked_is_plain OR empty(asked_json)) AND (answered_is_plain OR empty(answered_json))
