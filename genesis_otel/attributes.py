"""Every span, event and attribute name of this package, defined once, with its meaning, type and unit.

In: nothing; this module imports nothing. Out: constants. The SQL in ``sql/`` spells the same names as literals, and
``tests/store/test_names.py`` keeps the two equal.

Our own names are ``genesis.<record>.<column>``, with the column's name in the seven tables. LLM calls use
OpenTelemetry's ``gen_ai.*`` names (https://github.com/open-telemetry/semantic-conventions-genai), never renamed.
"""

SCOPE = "genesis_otel"
"""The instrumentation scope of every span that this package creates."""

# --- which record a span is -------------------------------------------------------------------------------------------

RECORD = "genesis.record"
"""str: which record the span is; one of the ``RECORD_*`` values. A span without it is not one of ours."""

RECORD_RUN = "run"
"""The start of a run, or the whole run."""
RECORD_GENERATION = "generation"
"""A generation."""
RECORD_INDIVIDUAL = "individual"
"""An individual, with the edges to its parents."""
RECORD_EVALUATION = "evaluation"
"""An evaluation: the end of its job."""
RECORD_ACTION = "action"
"""An action."""
RECORD_LINEAGE = "lineage"
"""An edge from a parent to its child, recorded separately from the child."""
RECORD_PARETO_FRONT = "pareto_front"
"""A span whose only purpose is to carry the ``genesis.pareto_front`` event, for callers who log the front separately."""

# --- where a span belongs: on every span inside a run, also as OpenTelemetry baggage ---------------------------------

RUN_ID = "genesis.run.id"
"""str: the run that the span belongs to (``evolution_runs.run_id``)."""

GENERATION = "genesis.generation.number"
"""int (a decimal string from baggage): the generation that the span belongs to; 0 is the initial population."""

INDIVIDUAL_ID = "genesis.individual.id"
"""str: the individual that the span belongs to (``individuals.individual_id``)."""

CORRELATION = (RUN_ID, GENERATION, INDIVIDUAL_ID)
"""The names that travel as baggage and that every span inside a run carries."""

# --- where it runs: on ``run.start`` ----------------------------------------------------------------------------------

HOST_NAME = "host.name"
"""str: the machine of the process that starts a run; readers there can tell whether that process is still alive."""

PROCESS_PID = "process.pid"
"""int: the id of that process."""

# --- run: spans ``run.start {task}`` and ``run {task}`` -> evolution_runs ---------------------------------------------

RUN_TASK_NAME = "genesis.run.task_name"
"""str: name of the task being evolved, e.g. ``circle_packing``."""

RUN_CONFIG = "genesis.run.config"
"""str: the full configuration as JSON."""

RUN_STATUS = "genesis.run.status"
"""str: ``running``, ``completed`` or ``failed``. ``running`` marks a run that has started; any other value, its end."""

RUN_TOTAL_GENERATIONS = "genesis.run.total_generations"
"""int: generations completed."""

RUN_POPULATION_SIZE = "genesis.run.population_size"
"""int: individuals per generation."""

RUN_CLUSTER_TYPE = "genesis.run.cluster_type"
"""str: ``local``, ``slurm``, ``e2b``, ..."""

RUN_DATABASE_PATH = "genesis.run.database_path"
"""str: where the search keeps its own results."""

RUN_DIRECTION = "genesis.run.direction"
"""str: ``max`` or ``min``: whether a higher or a lower fitness is better. If absent, higher is better."""

RUN_OBJECTIVES = "genesis.run.objectives"
"""str: JSON object of the metrics that span the Pareto front, each with ``max`` or ``min``; absent if nobody says."""

RUN_ERROR = "genesis.run.error"
"""str: why a run failed, in words: an exception, a signal, a cancelled task."""

RUN_BUDGET = "genesis.run.budget"
"""float, USD: what the run may spend."""

# --- generation -> generations ----------------------------------------------------------------------------------------

GENERATION_NUM_INDIVIDUALS = "genesis.generation.num_individuals"
"""int: individuals evaluated in this generation."""

GENERATION_BEST_SCORE = "genesis.generation.best_score"
"""float: best fitness score, by the run's direction; absent if no individual has one."""

GENERATION_AVG_SCORE = "genesis.generation.avg_score"
"""float: mean fitness score of the individuals that have one."""

GENERATION_PARETO_SIZE = "genesis.generation.pareto_size"
"""int: individuals on the front."""

GENERATION_TOTAL_COST = "genesis.generation.total_cost"
"""float, USD: what the generation spent on LLM calls, embeddings and novelty."""

GENERATION_METADATA = "genesis.generation.metadata"
"""str: JSON object with further statistics (``median_score``, ``std_dev``, ...)."""

GENERATION_TASK_NAME = "genesis.generation.task_name"
"""str: the run's task, on its generations."""

# --- individual -> individuals ----------------------------------------------------------------------------------------

INDIVIDUAL_PARENT_ID = "genesis.individual.parent_id"
"""str: the (first) parent, empty in the initial population."""

INDIVIDUAL_MUTATION_TYPE = "genesis.individual.mutation_type"
"""str: how it was created: ``init``, ``mutate``, ``crossover``, ..."""

INDIVIDUAL_FITNESS_SCORE = "genesis.individual.fitness_score"
"""float: score of the primary objective; absent if there is none, as for most failed individuals."""

INDIVIDUAL_COMBINED_SCORE = "genesis.individual.combined_score"
"""float: combined score of all objectives."""

INDIVIDUAL_METRICS = "genesis.individual.metrics"
"""str: JSON object of all metrics."""

INDIVIDUAL_CORRECT = "genesis.individual.correct"
"""bool: whether the program ran and passed its checks; absent if nobody checked."""

INDIVIDUAL_IS_PARETO = "genesis.individual.is_pareto"
"""bool: on the front of its generation, as far as known when the span ended."""

INDIVIDUAL_API_COST = "genesis.individual.api_cost"
"""float, USD: the LLM calls that created it."""

INDIVIDUAL_EMBED_COST = "genesis.individual.embed_cost"
"""float, USD: its embeddings."""

INDIVIDUAL_NOVELTY_COST = "genesis.individual.novelty_cost"
"""float, USD: judging its novelty."""

INDIVIDUAL_CODE_HASH = "genesis.individual.code_hash"
"""str: SHA-256 of its code, hexadecimal."""

INDIVIDUAL_CODE_SIZE = "genesis.individual.code_size"
"""int: size of its code in bytes."""

INDIVIDUAL_ISLAND = "genesis.individual.island"
"""str: the island (deme, subpopulation) that it lives on, if a search has several."""

INDIVIDUAL_CELL = "genesis.individual.cell"
"""str: JSON object of its cell in a grid of features (MAP-Elites): each feature and its bin."""

INDIVIDUAL_METADATA = "genesis.individual.metadata"
"""str: JSON object with context; ``"place": "guessed"`` if the run is merely the only one that was open."""

INDIVIDUAL_CODE = "genesis.individual.code"
"""str: the code itself, when captured."""

# --- lineage: on an individual's span, or a ``lineage`` span of its own -> code_lineages ------------------------------

LINEAGE_CHILD_ID = "genesis.lineage.child_id"
"""str: the child; on an individual's span the default is its own id."""

LINEAGE_PARENT_ID = "genesis.lineage.parent_id"
"""str: the parent of a single edge, empty in the initial population."""

LINEAGE_MUTATION_TYPE = "genesis.lineage.mutation_type"
"""str: how the child was created; on an individual's span the default is its own mutation type."""

LINEAGE_FITNESS_DELTA = "genesis.lineage.fitness_delta"
"""float: fitness of the child minus that of the parent; absent if either is unknown."""

LINEAGE_EDIT_SUMMARY = "genesis.lineage.edit_summary"
"""str: what changed, in words."""

LINEAGE_EDGES = "genesis.lineage.edges"
"""str: JSON array with one object per edge, ``{"parent_id": str, "fitness_delta": float | null}``, if there are several
parents. Replaces ``LINEAGE_PARENT_ID`` and ``LINEAGE_FITNESS_DELTA``."""

# --- evaluation -> agent_actions (job_completed, job_failed) ----------------------------------------------------------

EVALUATION_JOB_ID = "genesis.evaluation.job_id"
"""str: the job's id in the scheduler."""

EVALUATION_CORRECT = "genesis.evaluation.correct"
"""bool: whether the program ran and passed its checks; false makes the job ``job_failed``."""

EVALUATION_DETAILS = "genesis.evaluation.details"
"""str: JSON object of what is known about the job (``job_id``, ``generation``, ``combined_score``, ...)."""

EVALUATION_METADATA = "genesis.evaluation.metadata"
"""str: JSON object with context."""

EVALUATION_OUTPUT = "genesis.evaluation.output"
"""str: JSON object of the evaluation's output, by name: ``stdout``, ``stderr``, ``traceback``, ... Only the end of each text."""

# --- action -> agent_actions ------------------------------------------------------------------------------------------

ACTION_TYPE = "genesis.action.action_type"
"""str: ``job_submitted``, ``archive_updated``, ..."""

ACTION_SPOOL_STATE = "spool_state"
"""The action, which belongs to no run, by which a spool reports what is waiting in it, what was refused and what was lost."""

ACTION_DETAILS = "genesis.action.details"
"""str: JSON object describing the action."""

ACTION_METADATA = "genesis.action.metadata"
"""str: JSON object with context."""

# --- Pareto front: an event, on a generation's or a ``pareto_front`` span -> pareto_fronts ----------------------------

EVENT_PARETO_FRONT = "genesis.pareto_front"
"""Event: the front as of the event's time. One event with one JSON attribute, because a span keeps 128 events and
128 attributes and silently drops the rest."""

PARETO_FRONT_MEMBERS = "genesis.pareto_front.members"
"""str: JSON array with one object per member: ``individual_id``, ``fitness_score``, ``combined_score``, ``metrics``
(an object)."""

# --- LLM calls -> llm_logs: OpenTelemetry's names ---------------------------------------------------------------------

GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
"""str: ``chat``, ``text_completion``, ``generate_content`` or ``embeddings``."""

GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
"""str: ``openai``, ``anthropic``, ``gcp.gemini``, ..."""

GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
"""str: the requested model."""

GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
"""str: the model that answered."""

GEN_AI_RESPONSE_ID = "gen_ai.response.id"
"""str: the provider's id of the answer."""

GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
"""str[]: why each choice ended."""

GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""float, s: from the request to the first token of a stream."""

GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
"""str: JSON array of messages ``{"role": str, "parts": [{"type": "text", "content": str}, ...]}``."""

GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
"""str: JSON array of messages as above, with ``finish_reason``; reasoning is a part of type ``reasoning``."""

GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
"""str: JSON array of parts: system instructions given apart from the messages."""

GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
"""int: tokens of the prompt, including cached ones."""

GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
"""int: tokens of the answer, including reasoning."""

GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
"""int: of the input tokens, those read from the provider's cache."""

GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS = "gen_ai.usage.cache_write.input_tokens"
"""int: of the input tokens, those written to the provider's cache."""

GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
"""int: of the output tokens, those spent on reasoning."""

GEN_AI_USAGE_COST = "gen_ai.usage.cost"
"""float, USD: what the call cost (OpenLIT's name; OpenTelemetry has none)."""

SERVER_ADDRESS = "server.address"
"""str: the host that a call goes to."""

ERROR_TYPE = "error.type"
"""str: class of the error that ended an operation."""

EVENT_EVALUATION_RESULT = "gen_ai.evaluation.result"
"""Event: one score of an individual, for any OpenTelemetry backend."""

GEN_AI_EVALUATION_NAME = "gen_ai.evaluation.name"
"""str: the metric's name."""

GEN_AI_EVALUATION_SCORE_VALUE = "gen_ai.evaluation.score.value"
"""float: the metric's value."""

# --- LLM calls: what OpenTelemetry has no name for --------------------------------------------------------------------

LLM_COST_SOURCE = "genesis.llm.cost_source"
"""str: where the cost comes from: one of the ``COST_*`` values."""

COST_TOLD = "told"
"""The caller, or the instrumentation that made the span, gave the cost (``gen_ai.usage.cost``, ``llm.cost.total``)."""
COST_OPENROUTER = "openrouter"
"""OpenRouter reported the charge in its answer (``usage.cost``)."""
COST_LITELLM = "litellm"
"""LiteLLM computed the cost (its ``response_cost``)."""
COST_OWN_PRICES = "own-prices"
"""Computed from the tokens with the prices in ``GENESIS_OTEL_PRICES``."""
COST_PRICES = "genai-prices"
"""Computed from the tokens with the price list of the genai-prices library."""
COST_LOCAL = "local"
"""A model that the user runs (Ollama, vLLM, llama.cpp, LM Studio): the cost is 0, whatever the machine costs."""
COST_FAILED = "failed"
"""The provider answered with an error and reported no tokens: the cost is 0, because nothing is billed for that."""
COST_UNKNOWN_MODEL = "unknown-model"
"""No price is known for the model: the cost is 0 and means nothing."""
COST_NO_TOKENS = "no-tokens"
"""The span has no token counts, and nothing else that gives the cost: the cost is 0 and means nothing."""

COST_UNPRICED = ("", COST_UNKNOWN_MODEL, COST_NO_TOKENS)
"""The sources of an unknown cost; '' is a call that has not been priced yet (``genesis-otel reprice``). The column
``llm_logs.unpriced`` uses the same list."""

LLM_ROLE = "genesis.llm.role"
"""str: what the call is for in the search: ``mutation`` (default), ``novelty``, ``meta``, ``judge``, ``evaluation`` (the evaluated program
makes the call), ..."""

LLM_WITHIN = "genesis.llm.within"
"""str: the id of another span of the same call (for example a framework's around its client's). That span has the call's row in
``llm_logs``, and this one has none."""

PLACE = "genesis.place"
"""str: ``guessed`` if another instrumentation's call names no run and was assigned to the only one that was open."""

LEFT_OUT = "genesis.left_out"
"""int: how many characters of this span's texts were dropped, because a text exceeded 16 MiB. In ``otel_traces``."""

LLM_METADATA = "genesis.llm.metadata"
"""str: JSON object with context (task, generation, sampling parameters, ...): the column ``metadata``, unchanged."""
