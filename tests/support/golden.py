"""Golden cases of the mapping: spans in, rows of the seven tables out.

A case is a function that creates spans with a tracer, and the rows that they must become, limited to the columns that
matter. Every path from a span to the tables must pass all of them (``test_mapping.py`` tests direct delivery).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.span import TraceState

from genesis_otel import attributes as names

START = 1_700_000_000_000_000_000
"""The start of golden spans: 2023-11-14T22:13:20Z, in ns."""

SECOND = 1_000_000_000

Rows = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """Spans in, rows out: ``rows`` has the tables that must contain rows, each row with the columns that matter."""

    name: str
    emit: Callable[[Tracer], None]
    rows: Rows


def span(
    tracer: Tracer,
    name: str,
    attributes: Mapping[str, Any],
    *,
    events: tuple[tuple[str, Mapping[str, Any]], ...] = (),
    error: BaseException | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    start: int = START,
    seconds: float = 2,
) -> None:
    """One ended span."""
    made = tracer.start_span(name, kind=kind, attributes=attributes, start_time=start)
    for event, values in events:
        made.add_event(event, values, timestamp=start + SECOND)
    if error is not None:
        made.record_exception(error, timestamp=start + SECOND)
        made.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
    made.end(start + int(seconds * SECOND))


def place(**more: Any) -> dict[str, Any]:
    """The attributes of a span in run ``r``, generation 3, with ``more`` names of ``attributes`` set."""
    return {names.RUN_ID: "r", names.GENERATION: 3} | {getattr(names, name): value for name, value in more.items()}


def text(role: str, *contents: str) -> dict[str, Any]:
    """A message with text parts."""
    return {"role": role, "parts": [{"type": "text", "content": content} for content in contents]}


def run_of_three(tracer: Tracer) -> None:
    told = place(
        RECORD="run",
        RUN_STATUS="running",
        RUN_TASK_NAME="circle_packing",
        RUN_CONFIG='{"seed": 7}',
        RUN_POPULATION_SIZE=20,
        RUN_CLUSTER_TYPE="local",
        RUN_DATABASE_PATH="/results/x.db",
        RUN_OBJECTIVES='{"accuracy": "max", "size": "min", "odd": "sideways"}',
    )
    span(tracer, "run.start circle_packing", told, seconds=0)
    # Another process, which knows only its id, ends it.
    span(
        tracer, "run", place(RECORD="run", RUN_STATUS="completed", RUN_TOTAL_GENERATIONS=10), start=START + 60 * SECOND
    )


def each_of(*emits: Callable[[Tracer], None]) -> Callable[[Tracer], None]:
    """Several spans, one after the other."""

    def emit(tracer: Tracer) -> None:
        for one in emits:
            one(tracer)

    return emit


def front_of(size: int, *, start: int = START) -> Callable[[Tracer], None]:
    members = [
        {"individual_id": f"i{n}", "fitness_score": n / 10, "combined_score": -n, "metrics": {"size": n}}
        for n in range(size)
    ]
    event = (names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: json.dumps(members)})
    return lambda tracer: span(
        tracer, "generation", place(RECORD="generation", GENERATION_PARETO_SIZE=size), events=(event,), start=start
    )


HOSTILE = 'it\'s "quoted"\\ \t\n\x00\x1f \u2028 <&> ☃ 𝔘 \u0301' + "é" * 100_000
"""A text of two hundred kilobytes with all characters that some encoding mishandles."""

KINDS: dict[str, Any] = {
    "empty": "",
    "hostile": HOSTILE,
    "integers": [0, -1, 2**63 - 1, -(2**63)],
    "integer": -(2**63),
    "floats": [0.0, -0.0, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 0.1, 123456789012345680.0],
    "float": 1e21,
    "small": 1e-7,
    "negative zero": -0.0,
    "whole": 3.0,
    "nan": float("nan"),
    "infinite": float("-inf"),
    "booleans": [True, False],
    "boolean": False,
    "strings": ["", HOSTILE[:40], "b"],
    "nothing": [],
    "ключ ☃": "a name that is no ASCII",
}
"""Attributes of every kind that the SDK accepts."""


def of_every_kind(tracer: Tracer) -> None:
    other = SpanContext(trace_id=7, span_id=9, is_remote=True, trace_state=TraceState([("vendor", "x")]))
    made = tracer.start_span(
        HOSTILE[:60],
        kind=SpanKind.PRODUCER,
        attributes=place(RECORD="action", ACTION_TYPE="☃", ACTION_DETAILS=json.dumps({"text": HOSTILE})) | KINDS,
        links=[Link(other, KINDS), Link(other)],
        start_time=START,
    )
    made.add_event("", KINDS, timestamp=START)
    made.add_event("no attributes", timestamp=START + SECOND)
    made.set_status(StatusCode.OK)
    # Before its start, as with a clock that was set back: the collector's unsigned duration is then 584 years.
    made.end(START - SECOND)


def events_out_of_order(tracer: Tracer) -> None:
    """The later front comes first; between them is one that cannot be parsed."""
    made = tracer.start_span("generation", attributes=place(RECORD="generation"), start_time=START)
    for seconds, members in ((3, [{"individual_id": "late"}]), (2, "no list"), (1, [{"individual_id": "early"}])):
        told = {names.PARETO_FRONT_MEMBERS: members if isinstance(members, str) else json.dumps(members)}
        made.add_event(names.EVENT_PARETO_FRONT, told, timestamp=START + seconds * SECOND)
    made.end(START + 4 * SECOND)


def llm(rows: dict[str, Any], attributes: dict[str, Any], name: str, **options: Any) -> Case:
    """A call in run ``r``: the landing table may hold other calls, but only a search's become rows."""
    told = {names.RUN_ID: "r"} | attributes
    return Case(name, lambda tracer: span(tracer, "call", told, **options), {"llm_logs": [rows]})


CASES = [
    Case(
        "a run told by two processes is one row",
        run_of_three,
        {
            "evolution_runs": [
                {
                    "run_id": "r",
                    "start_time": "2023-11-14 22:13:20.000",
                    "end_time": "2023-11-14 22:14:22.000",
                    "task_name": "circle_packing",
                    "config": '{"seed": 7}',
                    "status": "completed",
                    "total_generations": 10,
                    "population_size": 20,
                    "cluster_type": "local",
                    "database_path": "/results/x.db",
                    "objectives": {"accuracy": "max", "size": "min"},
                }
            ]
        },
    ),
    Case(
        "a run that goes on is running, without an end",
        lambda tracer: span(
            tracer, "run.start t", place(RECORD="run", RUN_STATUS="running", RUN_TASK_NAME="t"), seconds=0
        ),
        {
            "evolution_runs": [
                {"run_id": "r", "status": "running", "end_time": "1970-01-01 00:00:00.000", "task_name": "t"}
            ]
        },
    ),
    Case(
        "a run that was resumed runs again",
        each_of(
            run_of_three,
            lambda tracer: span(
                tracer, "run.start", place(RECORD="run", RUN_STATUS="running"), start=START + 3600 * SECOND, seconds=0
            ),
        ),
        {
            "evolution_runs": [
                {
                    "run_id": "r",
                    "status": "running",
                    "start_time": "2023-11-14 22:13:20.000",
                    "end_time": "1970-01-01 00:00:00.000",
                    "task_name": "circle_packing",
                    "total_generations": 0,
                }
            ]
        },
    ),
    Case(
        "a generation, with what is not a number",
        lambda tracer: span(
            tracer,
            "generation",
            place(
                RECORD="generation",
                GENERATION_NUM_INDIVIDUALS=20,
                GENERATION_BEST_SCORE=0.95,
                GENERATION_AVG_SCORE=float("nan"),
                GENERATION_PARETO_SIZE=3,
                GENERATION_TOTAL_COST=float("inf"),
                GENERATION_METADATA='{"median_score": 0.5}',
                GENERATION_TASK_NAME="circle_packing",
            ),
        ),
        {
            "generations": [
                {
                    "run_id": "r",
                    "generation": 3,
                    "timestamp": "2023-11-14 22:13:22.000",
                    "num_individuals": 20,
                    "best_score": 0.95,
                    "avg_score": None,
                    "score_told": "nan",
                    "pareto_size": 3,
                    "total_cost": "inf",
                    "metadata": '{"median_score": 0.5}',
                    "task_name": "circle_packing",
                }
            ]
        },
    ),
    Case(
        "a front of 500 members",
        front_of(500),
        {
            "generations": [{"generation": 3, "pareto_size": 500}],
            "pareto_fronts": [
                {
                    "run_id": "r",
                    "generation": 3,
                    "timestamp": "2023-11-14 22:13:21.000",
                    "individual_id": f"i{n}",
                    "fitness_score": n / 10,
                    "combined_score": float(-n),
                    "metrics": json.dumps({"size": n}).replace(" ", ""),
                    "position": n,
                }
                for n in range(500)
            ],
        },
    ),
    Case(
        "two fronts of a span, one broken, with a score that is not a number",
        lambda tracer: span(
            tracer,
            "pareto_front",
            place(RECORD="pareto_front"),
            events=(
                (names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: '[{"individual_id": "a'}),
                (
                    names.EVENT_PARETO_FRONT,
                    {
                        names.PARETO_FRONT_MEMBERS: '[{"individual_id":"b","fitness_score":"NaN","metrics":"{\\"x\\":1}"}]'
                    },
                ),
            ),
        ),
        {
            "pareto_fronts": [
                {
                    "individual_id": "b",
                    "fitness_score": None,
                    "combined_score": None,
                    "score_told": "nan",
                    "metrics": '{"x":1}',
                }
            ]
        },
    ),
    Case(
        "an individual with two parents is two edges",
        lambda tracer: span(
            tracer,
            "individual",
            place(
                RECORD="individual",
                INDIVIDUAL_ID="child ☃",
                INDIVIDUAL_PARENT_ID="p",
                INDIVIDUAL_MUTATION_TYPE="crossover",
                INDIVIDUAL_FITNESS_SCORE=0.9,
                INDIVIDUAL_COMBINED_SCORE=1e-7,
                INDIVIDUAL_METRICS='{"accuracy": 0.9}',
                INDIVIDUAL_IS_PARETO=True,
                INDIVIDUAL_API_COST=0.05,
                INDIVIDUAL_EMBED_COST=1e22,
                INDIVIDUAL_NOVELTY_COST=123456789.125,
                INDIVIDUAL_CODE_HASH="ab",
                INDIVIDUAL_CODE_SIZE=1024,
                INDIVIDUAL_CODE="print('☃')",
                INDIVIDUAL_ISLAND="north ☃",
                INDIVIDUAL_CELL='{"size": 3, "☃": "n"}',
                LINEAGE_EDGES='[{"parent_id": "p", "fitness_delta": 0.5}, {"parent_id": "q", "fitness_delta": -1e-9}]',
                LINEAGE_EDIT_SUMMARY="merged",
            ),
        ),
        {
            "individuals": [
                {
                    "run_id": "r",
                    "individual_id": "child ☃",
                    "generation": 3,
                    "timestamp": "2023-11-14 22:13:22.000",
                    "parent_id": "p",
                    "mutation_type": "crossover",
                    "fitness_score": 0.9,
                    "combined_score": 1e-7,
                    "metrics": '{"accuracy": 0.9}',
                    "is_pareto": True,
                    "api_cost": 0.05,
                    "embed_cost": 1e22,
                    "novelty_cost": 123456789.125,
                    "code_hash": "ab",
                    "code_size": 1024,
                    "code": "print('☃')",
                    "island": "north ☃",
                    "cell": '{"size": 3, "☃": "n"}',
                    "status": "ok",
                    "error": "",
                }
            ],
            "code_lineages": [
                {
                    "run_id": "r",
                    "child_id": "child ☃",
                    "parent_id": parent,
                    "generation": 3,
                    "mutation_type": "crossover",
                    "fitness_delta": delta,
                    "edit_summary": "merged",
                    "position": position,
                }
                for position, (parent, delta) in enumerate([("p", 0.5), ("q", -1e-9)])
            ],
        },
    ),
    Case(
        "an individual that failed has a row all the same",
        lambda tracer: span(
            tracer,
            "individual",
            place(RECORD="individual", INDIVIDUAL_ID="a", LINEAGE_PARENT_ID="", INDIVIDUAL_FITNESS_SCORE=float("-inf")),
            error=ValueError("no diff"),
        ),
        {
            "individuals": [
                {
                    "individual_id": "a",
                    "status": "error",
                    "error": "ValueError: no diff",
                    "fitness_score": None,
                    "combined_score": None,
                    "score_told": "-inf",
                    "correct": None,
                    "metrics": "{}",
                }
            ],
            "code_lineages": [{"child_id": "a", "parent_id": "", "fitness_delta": None, "score_told": ""}],
        },
    ),
    Case(
        "an individual without lineage has no edge, and a lineage span is one",
        each_of(
            lambda tracer: span(tracer, "individual", place(RECORD="individual", INDIVIDUAL_ID="a")),
            lambda tracer: span(
                tracer,
                "lineage",
                place(
                    RECORD="lineage",
                    LINEAGE_CHILD_ID="a",
                    LINEAGE_PARENT_ID="p",
                    LINEAGE_MUTATION_TYPE="mutate",
                    LINEAGE_FITNESS_DELTA=-0.25,
                    LINEAGE_EDIT_SUMMARY="x" * 10_000,
                ),
            ),
        ),
        {
            "individuals": [{"individual_id": "a"}],
            "code_lineages": [
                {
                    "child_id": "a",
                    "parent_id": "p",
                    "mutation_type": "mutate",
                    "fitness_delta": -0.25,
                    "edit_summary": "x" * 10_000,
                }
            ],
        },
    ),
    Case(
        "an action",
        lambda tracer: span(
            tracer,
            "action archive_updated",
            place(RECORD="action", ACTION_TYPE="archive_updated", ACTION_DETAILS='{"id": 1}', INDIVIDUAL_ID="a"),
        ),
        {
            "agent_actions": [
                {
                    "action_type": "archive_updated",
                    "details": '{"id": 1}',
                    "metadata": "{}",
                    "run_id": "r",
                    "generation": 3,
                    "individual_id": "a",
                    "timestamp": "2023-11-14 22:13:22.000",
                }
            ]
        },
    ),
    Case(
        "an evaluation that ended well",
        lambda tracer: span(
            tracer,
            "evaluation",
            place(
                RECORD="evaluation",
                EVALUATION_JOB_ID="j",
                EVALUATION_CORRECT=True,
                EVALUATION_DETAILS='{"job_id":"j"}',
                EVALUATION_OUTPUT='{"stdout":"☃\\n"}',
            ),
        ),
        {
            "agent_actions": [
                {"action_type": "job_completed", "details": '{"job_id":"j"}', "output": '{"stdout":"☃\\n"}'}
            ]
        },
    ),
    Case(
        "an evaluation of a program that is wrong",
        lambda tracer: span(tracer, "evaluation", place(RECORD="evaluation", EVALUATION_CORRECT=False)),
        {"agent_actions": [{"action_type": "job_failed", "details": "{}"}]},
    ),
    Case(
        "an evaluation that raised, with what it raised",
        lambda tracer: span(
            tracer,
            "evaluation",
            place(RECORD="evaluation", EVALUATION_DETAILS='{"job_id":"j"}'),
            error=RuntimeError('out of "memory"'),
        ),
        {
            "agent_actions": [
                {
                    "action_type": "job_failed",
                    "details": '{"job_id":"j","error":"out of \\"memory\\"","error_type":"RuntimeError"}',
                }
            ]
        },
    ),
    llm(
        {
            "timestamp": "2023-11-14 22:13:20.000",
            "model": "gpt-4o",
            "messages": '[{"role":"system","content":"Be brief."},{"role":"user","content":"Improve\\nthis ☃"}]',
            "response": "Done.",
            "thought": "Let me see.",
            "cost": 0.0234,
            "execution_time": 2.0,
            "metadata": '{"task": "t"}',
            "run_id": "r",
            "generation": 3,
            "individual_id": "a",
            "role": "mutation",
            "provider": "openai",
            "operation": "chat",
            "response_model": "gpt-4o-2024-08-06",
            "finish_reason": "stop",
            "status": "ok",
            "error": "",
            "input_tokens": 100,
            "output_tokens": 20,
            "cached_tokens": 40,
            "cache_write_tokens": 10,
            "reasoning_tokens": 7,
            "time_to_first_token": 0.25,
            "cost_source": "genai-prices",
        },
        place(
            INDIVIDUAL_ID="a",
            GEN_AI_OPERATION_NAME="chat",
            GEN_AI_PROVIDER_NAME="openai",
            GEN_AI_REQUEST_MODEL="gpt-4o",
            GEN_AI_RESPONSE_MODEL="gpt-4o-2024-08-06",
            GEN_AI_SYSTEM_INSTRUCTIONS='[{"type":"text","content":"Be brief."}]',
            GEN_AI_INPUT_MESSAGES=json.dumps([text("user", "Improve", "this ☃")]),
            GEN_AI_OUTPUT_MESSAGES=json.dumps(
                [
                    {
                        "role": "assistant",
                        "parts": [
                            {"type": "reasoning", "content": "Let me see."},
                            {"type": "text", "content": "Done."},
                        ],
                    }
                ]
            ),
            GEN_AI_RESPONSE_FINISH_REASONS=["stop"],
            GEN_AI_USAGE_INPUT_TOKENS=100,
            GEN_AI_USAGE_OUTPUT_TOKENS=20,
            GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS=40,
            GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS=10,
            GEN_AI_USAGE_REASONING_OUTPUT_TOKENS=7,
            GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK=0.25,
            GEN_AI_USAGE_COST=0.0234,
            LLM_COST_SOURCE="genai-prices",
            LLM_ROLE="mutation",
            LLM_METADATA='{"task": "t"}',
        ),
        "an LLM call with today's names",
        kind=SpanKind.CLIENT,
    ),
    llm(
        {
            "model": "gpt-4.1-mini",
            "response_model": "gpt-4.1-mini-2025-04-14",
            "messages": '[{"role":"system","content":"Be brief."},{"role":"user","content":"q"}]',
            "thought": "Let me see.",
            "response": "a",
            "time_to_first_token": 1.0,
            "finish_reason": "end_turn",
            "metadata": '{"anthropic.message.stop_reason":"end_turn","llm.invocation_parameters":"{\\"model\\": \\"gpt-4.1-mini\\"}",'
            '"llm.model_name":"gpt-4.1-mini-2025-04-14","openinference.span.kind":"LLM","place":"guessed"}',
        },
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4.1-mini-2025-04-14",
            "llm.invocation_parameters": '{"model": "gpt-4.1-mini"}',
            "gen_ai.system_instructions": '[{"type":"text","content":"Be brief."}]',
            "gen_ai.input.messages": json.dumps([text("system", "Be brief."), text("user", "q")]),
            "gen_ai.output.messages": json.dumps(
                [
                    {
                        "role": "assistant",
                        "parts": [{"type": "thinking", "content": "Let me see."}, *text("", "a")["parts"]],
                    }
                ]
            ),
            "anthropic.message.stop_reason": "end_turn",
            "genesis.place": "guessed",
        },
        "the requested model, system messages once, thinking, the first token's event and a stop reason, whoever tells them",
        events=(("First Token Stream Event", {}),),
    ),
    llm(
        {"response": "a", "thought": "Let me see."},
        {
            "openinference.span.kind": "LLM",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
            "llm.output_messages.0.message.contents.0.message_content.text": "Let me see.",
            "llm.output_messages.0.message.contents.1.message_content.type": "text",
            "llm.output_messages.0.message.contents.1.message_content.text": "a",
        },
        "OpenInference's reasoning is no part of the answer",
    ),
    llm(
        {"response": "a\nb", "thought": "First.\nSecond.", "messages": "the prompt"},
        {
            "openinference.span.kind": "LLM",
            "llm.output_messages.9.message.contents.0.message_content.type": "reasoning",
            "llm.output_messages.9.message.contents.0.message_content.text": "First.",
            "llm.output_messages.9.message.contents.1.message_content.text": "a",
            "llm.output_messages.10.message.contents.0.message_content.type": "reasoning",
            "llm.output_messages.10.message.contents.0.message_content.text": "Second.",
            "llm.output_messages.10.message.contents.1.message_content.text": "b",
            "llm.input_messages.0": "a number without a field is no message",
            "input.value": "the prompt",
        },
        "numbered messages and their thoughts are in the order of their numbers",
    ),
    llm(
        {
            "messages": '[{"role":"system","content":"[{\\"type\\":\\"x\\"}]"},'
            '{"role":"system","content":"","parts":[{"type":"image"}]}]',
        },
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system_instructions": '[{"type":"x"}]',
            "gen_ai.input.messages": '[{"role":"system","parts":[{"type":"image"}]}]',
        },
        "instructions that cannot be read stand beside a system message without text",
    ),
    llm(
        {"operation": "embeddings", "response": "", "response_id": "e"},
        {
            "openinference.span.kind": "EMBEDDING",
            "output.mime_type": "application/json",
            "output.value": '{"id": "e", "model": "m", "data": [0.5]}',
        },
        "an embedding has no vector, and OpenInference's answers have an id",
    ),
    llm(
        {"model": "text-embedding-3-small", "operation": "embeddings"},
        {
            "gen_ai.operation.name": "embedding",
            "embedding.invocation_parameters": '{"model": "text-embedding-3-small"}',
        },
        "LiteLLM's word for embeddings",
    ),
    Case(
        "a call that another span has the row of, and a call on a record of ours",
        each_of(
            lambda tracer: span(
                tracer,
                "chat",
                place(GEN_AI_OPERATION_NAME="chat", LLM_WITHIN="00000000000000aa", LLM_COST_SOURCE="told"),
            ),
            lambda tracer: span(
                tracer, "action", place(RECORD="action", ACTION_TYPE="x", GEN_AI_OPERATION_NAME="chat")
            ),
        ),
        {"agent_actions": [{"action_type": "x"}]},
    ),
    Case(
        "an action that says no generation",
        lambda tracer: span(tracer, "action", {names.RECORD: "action", names.ACTION_TYPE: "x"}),
        {"agent_actions": [{"run_id": "", "generation": None}]},
    ),
    llm(
        {
            "messages": '[{"role":"user","content":"look","parts":[{"type":"blob","mime_type":"image/png"}]},{"role":"tool","name":"x"}]',
            "response": '[{"role":"assistant","parts":[{"type":"tool_call","name":"f"}]}]',
            "cost_source": "",
        },
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"look"},{"type":"blob","mime_type":"image/png"}]},'
            '{"role":"tool","name":"x"}]',
            "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","name":"f"}]}]',
        },
        "what is no text stays as it came",
    ),
    llm(
        {"messages": "not [json", "response": '{"neither": ', "status": "error", "error": "RateLimitError: slow down"},
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": "not [json",
            "gen_ai.output.messages": '{"neither": ',
            "error.type": "RateLimitError",
        },
        "messages that are no JSON stay as they came, and the error shows",
        events=(("exception", {"exception.message": "slow down", "exception.type": "openai.RateLimitError"}),),
    ),
    llm(
        {
            "model": "gpt-4",
            "provider": "openai",
            "operation": "chat",
            "messages": '[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls.0.name":"f"}]',
            "response": "a",
            "input_tokens": 5,
            "output_tokens": 6,
            "reasoning_tokens": 2,
            "finish_reason": "length",
        },
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4",
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "q",
            "gen_ai.prompt.1.role": "assistant",
            "gen_ai.prompt.1.tool_calls.0.name": "f",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "a",
            "gen_ai.completion.0.finish_reason": "length",
            "gen_ai.usage.prompt_tokens": 5,
            "gen_ai.usage.completion_tokens": 6,
            "gen_ai.usage.reasoning_tokens": 2,
        },
        "an LLM call with the names of traceloop and of older OpenTelemetry",
    ),
    llm(
        {
            "model": "gpt-4o",
            "provider": "openai",
            "operation": "chat",
            "messages": '[{"role":"user","content":"one\\ntwo"}]',
            "response": "a",
            "cost": 0.5,
            "cost_source": "told",
            "input_tokens": 100,
            "cached_tokens": 40,
            "cache_write_tokens": 10,
            "reasoning_tokens": 7,
        },
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.invocation_parameters": '{"model": "gpt-4o"}',
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "one",
            "llm.input_messages.1.message.contents.1.message_content.type": "text",
            "llm.input_messages.1.message.contents.1.message_content.text": "two",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "a",
            "llm.token_count.prompt": 100,
            "llm.token_count.prompt_details.cache_read": 40,
            "llm.token_count.prompt_details.cache_write": 10,
            "llm.token_count.completion_details.reasoning": 7,
            "llm.cost.total": 0.5,
            "input.value": "{}",
        },
        "an LLM call with OpenInference's names",
    ),
    llm(
        {
            "operation": "embeddings",
            "model": "text-embedding-3-small",
            "input_tokens": 12,
            "messages": "some text",
            "response": "",
        },
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "text-embedding-3-small",
            "llm.token_count.prompt": 12,
            "input.value": "some text",
        },
        "an embedding",
    ),
    llm(
        {"messages": "[the prompt]", "response": "the answer"},
        {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
        "content in span events",
        events=(
            ("gen_ai.content.prompt", {"gen_ai.prompt": "[the prompt]"}),
            ("gen_ai.content.completion", {"gen_ai.completion": "the answer"}),
        ),
    ),
    Case(
        "somebody else's spans, agents and tools among them, are no rows",
        each_of(
            lambda tracer: span(tracer, "GET /", {"http.request.method": "GET"}),
            lambda tracer: span(
                tracer, "invoke_agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}
            ),
            lambda tracer: span(tracer, "tool", {"openinference.span.kind": "TOOL"}),
        ),
        {},
    ),
    Case(
        "attributes of every kind, on span, events and links",
        of_every_kind,
        {
            "agent_actions": [
                {
                    "action_type": "☃",
                    "details": json.dumps({"text": HOSTILE}),
                    "run_id": "r",
                    "timestamp": "2023-11-14 22:13:20.000",
                }
            ]
        },
    ),
    Case(
        "events out of order",
        events_out_of_order,
        {
            "generations": [{"generation": 3}],
            "pareto_fronts": [
                {"individual_id": "late", "timestamp": "2023-11-14 22:13:23.000", "position": 0},
                {"individual_id": "early", "timestamp": "2023-11-14 22:13:21.000", "position": 1},
            ],
        },
    ),
    Case(
        "fronts of a span in the same millisecond: the last counts",
        lambda tracer: span(
            tracer,
            "generation",
            place(RECORD="generation"),
            events=tuple(
                (names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: json.dumps([{"individual_id": each}])})
                for each in ("older", "newer")
            ),
        ),
        {"generations": [{"generation": 3}], "pareto_fronts": [{"individual_id": "newer", "position": 1}]},
    ),
]
