"""The spans that benchmarks send, like those of searches and other instrumentations: names, attributes, and their rows per table.

In: a shape, and a number that determines everything about a span. Out: spans to start with a tracer. No two are equal, so that nothing
is compressed or deduplicated away; texts are program text, with the quotes and newlines that encoders escape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.trace import SpanKind

from genesis_otel import attributes as names

PROMPTS = (5_000, 50_000)
"""Characters of the two prompts of an individual in the mix: one states the task, the other quotes earlier programs."""
CODE = 3_000
ANSWER = 1_500
HUGE = 10_000_000


class Made(NamedTuple):
    """A span to start."""

    name: str
    kind: SpanKind
    attributes: dict[str, Any]


class Shape(NamedTuple):
    """A kind of spans that a benchmark sends."""

    spans: Callable[[int], Iterator[Made]]
    """The spans of one unit, by its number."""
    each: int
    """Spans per unit."""
    rows: Mapping[str, int]
    """Rows per unit in the counted tables."""


def text(size: int, seed: int) -> str:
    """Program text of ``size`` characters, with quotes and newlines, which JSON escapes."""
    line = f'def step_{seed}(x: float, name: str = "plain") -> float:\n    return x * 1.0{seed}  # a comment\n'
    return (line * (size // len(line) + 1))[:size]


def message(role: str, content: str, **more: str) -> dict[str, Any]:
    """A message as OpenTelemetry writes it."""
    return {"role": role, "parts": [{"type": "text", "content": content}], **more}


def place(number: int) -> dict[str, Any]:
    """The attributes that say where a span belongs."""
    return {names.RUN_ID: "run_1", names.GENERATION: number // 20, names.INDIVIDUAL_ID: f"ind_{number}"}


def individual(number: int, code: int = 0) -> Made:
    """An individual's span."""
    told: dict[str, Any] = {
        **place(number),
        names.RECORD: names.RECORD_INDIVIDUAL,
        names.INDIVIDUAL_PARENT_ID: f"ind_{number // 2}",
        names.INDIVIDUAL_MUTATION_TYPE: "mutate",
        names.INDIVIDUAL_FITNESS_SCORE: number / 7,
        names.INDIVIDUAL_COMBINED_SCORE: number / 3,
        names.INDIVIDUAL_METRICS: f'{{"accuracy": {number / 7}, "size": {number}}}',
        names.INDIVIDUAL_IS_PARETO: number % 20 == 0,
        names.INDIVIDUAL_API_COST: 0.01,
        names.INDIVIDUAL_CODE_HASH: f"{number:064x}",
        names.LINEAGE_PARENT_ID: f"ind_{number // 2}",
        names.LINEAGE_FITNESS_DELTA: 0.01,
    }
    if code:
        told[names.INDIVIDUAL_CODE] = text(code, number)
    return Made("individual", SpanKind.INTERNAL, told)


def call(number: int, size: int, seed: int = 0) -> Made:
    """An LLM call as ``llm_call()`` records it."""
    asked = [message("system", "You improve programs."), message("user", text(size, number))]
    answered = [message("assistant", text(ANSWER, number)) | {"finish_reason": "stop"}]
    told = {
        **place(number),
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: "openai",
        names.GEN_AI_REQUEST_MODEL: "gpt-4o",
        names.GEN_AI_RESPONSE_MODEL: "gpt-4o-2024-08-06",
        names.GEN_AI_RESPONSE_ID: f"chatcmpl-{number}-{seed}",
        names.GEN_AI_USAGE_INPUT_TOKENS: size // 4,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: ANSWER // 4,
        names.GEN_AI_INPUT_MESSAGES: json.dumps(asked),
        names.GEN_AI_OUTPUT_MESSAGES: json.dumps(answered),
    }
    return Made("chat gpt-4o", SpanKind.CLIENT, told)


def job(number: int) -> Iterator[Made]:
    """An evaluation: the start of its job, and its end."""
    told = json.dumps({"job_id": f"job_{number}", "combined_score": number / 3})
    begun = {names.RECORD: names.RECORD_ACTION, names.ACTION_TYPE: "job_submitted", names.ACTION_DETAILS: told}
    yield Made("action job_submitted", SpanKind.INTERNAL, {**place(number), **begun})
    ended = {
        names.RECORD: names.RECORD_EVALUATION,
        names.EVALUATION_JOB_ID: f"job_{number}",
        names.EVALUATION_CORRECT: True,
        names.EVALUATION_DETAILS: told,
    }
    yield Made("evaluation", SpanKind.INTERNAL, {**place(number), **ended})


def mix(number: int) -> Iterator[Made]:
    """Everything that a search records about one individual."""
    yield individual(number, CODE)
    for seed, size in enumerate(PROMPTS):
        yield call(number, size, seed)
    yield from job(number)


def traceloop(number: int) -> Iterator[Made]:
    """A call in the numbered attributes of traceloop's instrumentations."""
    told = {
        **place(number),
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        names.GEN_AI_REQUEST_MODEL: "gpt-4o",
        names.GEN_AI_RESPONSE_MODEL: "gpt-4o-2024-08-06",
        "gen_ai.usage.prompt_tokens": PROMPTS[0] // 4,
        "gen_ai.usage.completion_tokens": ANSWER // 4,
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "You improve programs.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": text(PROMPTS[0], number),
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": text(ANSWER, number),
        "gen_ai.completion.0.finish_reason": "stop",
    }
    yield Made("openai.chat", SpanKind.CLIENT, told)


def openinference(number: int) -> Iterator[Made]:
    """A call in the attributes of OpenInference, whose spans also have the request and the answer as JSON."""
    asked, answered = text(PROMPTS[0], number), text(ANSWER, number)
    told = {
        **place(number),
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o-2024-08-06",
        "llm.invocation_parameters": '{"model": "gpt-4o", "temperature": 0.7}',
        "llm.token_count.prompt": PROMPTS[0] // 4,
        "llm.token_count.completion": ANSWER // 4,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": asked,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answered,
        "input.value": json.dumps({"messages": [{"role": "user", "content": asked}], "model": "gpt-4o"}),
        "output.value": json.dumps({"choices": [{"message": {"role": "assistant", "content": answered}}]}),
    }
    yield Made("ChatCompletion", SpanKind.INTERNAL, told)


SHAPES = {
    "mix": Shape(mix, 5, {"individuals": 1, "llm_logs": 2}),
    "individual": Shape(lambda number: iter((individual(number),)), 1, {"individuals": 1}),
    "traceloop": Shape(traceloop, 1, {"llm_logs": 1}),
    "openinference": Shape(openinference, 1, {"llm_logs": 1}),
    "huge": Shape(lambda number: iter((call(number, HUGE),)), 1, {"llm_logs": 1}),
}
"""``mix``: an individual with 3 kB of code, its two calls with prompts of 5 and 50 kB, its evaluation; ``individual``: one of 1 kB, which
flatters; ``traceloop``, ``openinference``: calls with prompts of 5 kB; ``huge``: calls with prompts of 10 MB."""


def counted(shape: Shape) -> str:
    """The SQL that counts the rows that have arrived."""
    return "SELECT " + " + ".join(f"(SELECT count() FROM {table})" for table in shape.rows)
