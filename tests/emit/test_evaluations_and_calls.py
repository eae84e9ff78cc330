"""What an evaluation and an LLM call record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from tests.support.recording import Recorded, attributes_of

SECOND = 1_000_000_000


def test_an_evaluation_is_submitted_and_then_done(recorded: Recorded) -> None:
    """`job_submitted` is exported before the job has ended; the end reports the outcome with all that is known about
    the job."""
    individual = spans.generation(5, run_id="r").individual("a", parent_id="p")
    job = individual.evaluation("job_1", details={"exec_fname": "x.py"}, metadata={"cluster": "local"})
    (submitted,) = recorded.records("action")
    known = {"job_id": "job_1", "generation": 5, "individual_id": "a", "parent_id": "p", "exec_fname": "x.py"}
    assert submitted[names.ACTION_TYPE] == "job_submitted"
    assert json.loads(submitted[names.ACTION_DETAILS]) == known
    assert json.loads(submitted[names.ACTION_METADATA]) == {"cluster": "local"}
    job.result(correct=True, combined_score=0.95, details={"api_costs": 0.05}, metadata={"public_metrics": {}})
    job.end()
    (ended,) = recorded.records("evaluation")
    assert json.loads(ended[names.EVALUATION_DETAILS]) == {
        **known,
        "correct": True,
        "combined_score": 0.95,
        "api_costs": 0.05,
    }
    assert ended[names.EVALUATION_CORRECT] is True
    assert json.loads(ended[names.EVALUATION_METADATA]) == {"public_metrics": {}}


def test_an_evaluation_that_raised_has_its_exception(recorded: Recorded) -> None:
    """The exception is in the details and on the span, and propagates; a text can mark a job as failed as well."""
    with pytest.raises(MemoryError), spans.evaluation("a"):
        raise MemoryError("64 GB")
    job = spans.evaluation("b")
    job.fail("timeout after 60 s")
    job.end()
    raised, told = recorded.named("evaluation")
    assert json.loads(attributes_of(raised)[names.EVALUATION_DETAILS])["error"] == "64 GB"
    assert json.loads(attributes_of(raised)[names.EVALUATION_DETAILS])["error_type"] == "MemoryError"
    assert raised.status.status_code is told.status.status_code is StatusCode.ERROR
    assert told.status.description == "timeout after 60 s"


def test_an_llm_call_carries_opentelemetrys_names(recorded: Recorded) -> None:
    """All arguments of a call are on its span under the names of the semantic conventions."""
    call = spans.generation(5, run_id="r").llm_call(
        "gpt-4o",
        provider="openai",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "☃"}],
        role="meta",
        metadata={"temperature": 0.7},
        start_time=10 * SECOND,
    )
    call.first_token(time=10 * SECOND + SECOND // 4)
    call.first_token(time=12 * SECOND)
    call.response(
        "Done.",
        reasoning="Hm.",
        model="gpt-4o-2024-08-06",
        response_id="resp_1",
        finish_reason="stop",
        input_tokens=100,
        output_tokens=20,
        cached_tokens=40,
        cache_write_tokens=10,
        reasoning_tokens=7,
        cost=0.5,
    )
    call.end(end_time=13 * SECOND)
    span = recorded.one("chat gpt-4o")
    assert (span.start_time, span.end_time) == (10 * SECOND, 13 * SECOND)
    found = attributes_of(span)
    assert json.loads(found.pop(names.GEN_AI_INPUT_MESSAGES)) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "☃"}]},
    ]
    assert json.loads(found.pop(names.GEN_AI_OUTPUT_MESSAGES)) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Done."}],
            "finish_reason": "stop",
        }
    ]
    assert found == {
        names.RUN_ID: "r",
        names.GENERATION: 5,
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: "openai",
        names.GEN_AI_REQUEST_MODEL: "gpt-4o",
        names.GEN_AI_RESPONSE_MODEL: "gpt-4o-2024-08-06",
        names.GEN_AI_RESPONSE_ID: "resp_1",
        names.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
        names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: 0.25,
        names.GEN_AI_USAGE_INPUT_TOKENS: 100,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: 20,
        names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 40,
        names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: 10,
        names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: 7,
        names.GEN_AI_USAGE_COST: 0.5,
        names.LLM_ROLE: "meta",
        names.LLM_METADATA: '{"temperature": 0.7}',
    }


def test_an_llm_call_has_its_server(recorded: Recorded) -> None:
    """Only the host of a server's URL or address is kept, without a key that it may contain; invalid addresses are left
    out."""
    for server in ("https://user:secret@openrouter.ai/api/v1?key=secret", "127.0.0.1:8000", "http://[bad", ""):
        spans.llm_call("m", server=server, run_id="r").end()
    hosts = [attributes_of(span).get(names.SERVER_ADDRESS) for span in recorded.named("chat m")]
    assert hosts == ["openrouter.ai", "127.0.0.1", None, None]


def test_a_cost_has_its_source(recorded: Recorded) -> None:
    """`cost_source` is recorded with a cost, and not without one."""
    for cost in (0.25, None):
        with spans.llm_call("m", run_id="r") as call:
            call.response("x", cost=cost, cost_source=names.COST_OPENROUTER)
    told, untold = (attributes_of(span) for span in recorded.named("chat m"))
    assert (told[names.GEN_AI_USAGE_COST], told[names.LLM_COST_SOURCE]) == (0.25, "openrouter")
    assert names.LLM_COST_SOURCE not in untold


def test_an_llm_call_that_raised_has_its_error(recorded: Recorded) -> None:
    """`error.type` is the class with its module; status and exception have the rest."""
    with pytest.raises(json.JSONDecodeError), spans.llm_call("m"):
        json.loads("{")
    span = recorded.one("chat m")
    assert attributes_of(span)[names.ERROR_TYPE] == "json.decoder.JSONDecodeError"
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("came", "parts"),
    [
        ("hello", [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}],
         [{"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}]),
        ([{"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]}],
         [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": '{"x": 1}'}]}]),
        ([{"role": "tool", "tool_call_id": "1", "content": "42"}],
         [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "42"}]}]),
        ([{"role": "user", "name": "bob", "content": "x"}], [{"role": "user", "name": "bob", "content": "x"}]),
        ({"role": "user", "parts": [{"type": "text", "content": "x"}]}, [{"role": "user", "parts": [{"type": "text", "content": "x"}]}]),
        (["a", "b"], ["a", "b"]),
        ([{"role": "user", "content": 5}, {"no": "role"}], [{"role": "user", "content": 5}, {"no": "role"}]),
    ],
)  # fmt: skip
def test_messages_become_parts_or_stay_unchanged(recorded: Recorded, came: Any, parts: Any) -> None:
    """Texts, tool calls and their answers become parts; a message with anything else is kept whole."""
    spans.llm_call("m", messages=came).end()
    assert json.loads(attributes_of(recorded.one("chat m"))[names.GEN_AI_INPUT_MESSAGES]) == parts
