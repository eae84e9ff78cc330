"""One search over all texts of a span finds the same secrets as a search in each: a span that passes unchanged would
also have passed text by text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from genesis_otel import attributes as names
from genesis_otel._emit.json_values import MOST
from genesis_otel._ship.cleaning.untouched import LARGE
from genesis_otel._ship.encoding import rows
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.redaction.redact import recognised
from tests.support.secret_corpus import HARMLESS, SECRETS

CONTEXT = SpanContext(7, 8, False, TraceFlags(TraceFlags.SAMPLED))
RESOURCE = Resource({"service.name": "search"})
INDIVIDUAL = {names.RECORD: names.RECORD_INDIVIDUAL, names.RUN_ID: "r", names.INDIVIDUAL_ID: "i"}
CALL = {names.GEN_AI_OPERATION_NAME: "chat", names.GEN_AI_REQUEST_MODEL: "m", names.RUN_ID: "r"}


class Last(SpanProcessor):
    span: ReadableSpan

    def on_end(self, span: ReadableSpan) -> None:
        self.span = span


def span_of(attributes: dict[str, Any], **parts: Any) -> ReadableSpan:
    told = {"name": "span", "resource": RESOURCE, "kind": SpanKind.INTERNAL, "start_time": 1, "end_time": 2, **parts}
    return ReadableSpan(context=CONTEXT, attributes=attributes, **told)


def at_once(span: ReadableSpan) -> ReadableSpan:
    last = Last()
    LLMSpanProcessor(last, redact=recognised, prices=False).on_end(span)
    return last.span


def text_by_text(span: ReadableSpan) -> ReadableSpan:
    """The same search as a custom function, about which nothing is known."""
    last = Last()
    LLMSpanProcessor(last, redact=lambda text: recognised(text), prices=False).on_end(span)
    return last.span


def places(text: str) -> list[ReadableSpan]:
    """Spans with a text in each place that can have one."""
    return [
        span_of({**INDIVIDUAL, names.INDIVIDUAL_CODE: text, names.INDIVIDUAL_METRICS: "{}"}),
        span_of({**INDIVIDUAL, names.INDIVIDUAL_MUTATION_TYPE: text}),
        span_of({**INDIVIDUAL, "of.the.user": ("x", text)}),
        span_of({**INDIVIDUAL, names.INDIVIDUAL_CODE_HASH: text}),
        span_of({names.RECORD: names.RECORD_RUN, names.RUN_ID: "r", names.RUN_CONFIG: text}),
        span_of({**CALL, names.GEN_AI_INPUT_MESSAGES: text, names.GEN_AI_OUTPUT_MESSAGES: "[]"}),
        span_of({**CALL, "gen_ai.prompt.0.tool_calls.0.id": text}),
        span_of({**CALL, "http.request.header.x": (text,), names.LLM_METADATA: "{}"}),
        span_of({"db.statement": text}),
        span_of({"told": {"by": {"the user": text}}, "listed": ({"x": text},), "raw": text.encode(errors="replace")}),
        span_of({"api_key": text}),
        span_of({"app.password": (text, "")}),
        span_of({"plain": 1}, name=text),
        span_of({"plain": 1}, status=Status(StatusCode.ERROR, text)),
        span_of({"plain": 1}, events=[Event("exception", {"exception.message": text}, 1)]),
        span_of({"plain": 1}, events=[Event("gen_ai.choice", {"message.id": text}, 1)]),
        span_of({"plain": 1}, events=[Event("told", {"a": 1}, 1), Event(text, {"api_key": text, "their.id": text}, 2)]),
        span_of(INDIVIDUAL, events=[Event(names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: text}, 1)]),
        span_of({"plain": 1}, links=[Link(CONTEXT, {"why": text})]),
        span_of({"plain": 1}, resource=Resource({"process.command_line": text})),
    ]


@pytest.mark.parametrize("text", [*(secret.text for secret in SECRETS[::5]), *HARMLESS[::10], ""])
def test_a_secret_is_found_wherever_it_is(text: str) -> None:
    """A text of the corpus, secret or not, anywhere in a span comes out as from a search in that text alone."""
    for span in places(text):
        assert rows.encode(at_once(span)) == rows.encode(text_by_text(span))


texts = st.one_of(
    st.sampled_from([secret.text for secret in SECRETS]),
    st.sampled_from(HARMLESS),
    st.text(max_size=20),
    st.sampled_from(
        ["key", "password", "=", ": ", "'", '"', "sk-", "Bearer ", "://a:", "@b", "\\u0073k-", "-----BEGIN "]
    ),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", names.INDIVIDUAL_CODE, "a.id"]), texts), texts)
def test_adjacent_texts_do_not_affect_each_other(attributes: dict[str, str], said: str) -> None:
    """With any texts next to each other in a span, including halves of secrets, each comes out as if it were alone."""
    span = span_of({**INDIVIDUAL, **attributes}, status=Status(StatusCode.ERROR, said))
    assert rows.encode(at_once(span)) == rows.encode(text_by_text(span))


KEY = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


@pytest.mark.parametrize(
    "value",
    [
        {"authorization": {"value": KEY}},
        {"password": "correct horse"},
        ({"told": ({"db.password": ("correct horse",)},)},),
        ({"role": "user", "parts": ({"content": KEY},)},),
        f"key {KEY}".encode(),
        ("text", (KEY.encode(),)),
    ],
)
def test_a_secret_is_found_in_values_with_structure(value: Any) -> None:
    """Mappings and bytes, which OpenTelemetry's API allows as attributes, keep no secret, wherever it is in them."""
    for attributes in ({"told": value}, {**CALL, names.GEN_AI_INPUT_MESSAGES: value}):
        for span in (span_of(attributes), span_of({}, events=[Event("told", attributes, 1)])):
            stored = rows.encode(at_once(span))
            assert b"sk-proj" not in stored and b"correct horse" not in stored and b"c2stcHJvai" not in stored
            assert stored == rows.encode(text_by_text(span))


def test_a_value_under_the_name_of_a_secret_is_hidden_whatever_it_is() -> None:
    """A name that says "secret" hides mappings, lists and bytes like texts, and leaves what is empty."""
    span = span_of({"api_key": {"a": "b"}, "app.password": b"x", "db.password": ({"c": 1}, b""), "token_secret": {}})
    assert dict(at_once(span).attributes or {}) == {
        "api_key": "[REDACTED]",
        "app.password": "[REDACTED]",
        "db.password": ("[REDACTED]", b""),
        "token_secret": {},
    }


def test_a_large_mapping_is_cut() -> None:
    """What would be stored of a mapping has the same maximum as a text."""
    large = {"by": "x " * MOST}
    kept: dict[str, Any] = dict(at_once(span_of({"told": large, "listed": (large, 1)})).attributes or {})
    for text in (kept["told"], kept["listed"][0]):
        assert isinstance(text, str) and len(text) <= MOST + 100
    assert kept["listed"][1] == 1


def test_a_span_without_a_secret_is_the_same_object() -> None:
    """A span in which nothing is found is not copied."""
    span = span_of({**INDIVIDUAL, names.INDIVIDUAL_CODE: "print()", "list": ("a", "b"), "n": 1, "x": 0.5, "t": True})
    assert at_once(span) is span


@pytest.mark.parametrize("size", [LARGE - 1, LARGE + 1, MOST + 1])
@pytest.mark.parametrize("end", ["", " api_key='sk-proj-abcdefghij0123456789ABCDEFGHIJ'"])
def test_large_texts_are_searched_and_cut(size: int, end: str) -> None:
    """A text that is too long to be searched with others, and one that is too long to be kept, come out as from a
    search in each."""
    for value in ("x " * (size // 2) + end, ("short", "x " * (size // 2) + end)):
        span = span_of({**INDIVIDUAL, names.INDIVIDUAL_CODE: value})
        found, expected = at_once(span).attributes, text_by_text(span).attributes
        assert dict(found or {}) == dict(expected or {})
