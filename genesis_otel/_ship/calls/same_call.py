"""Finds spans in this process that record the same model call: the framework's, its client's, and one that a caller puts around it.

In: spans as they start and end. Out: for an ending span, the other span that holds its row (``genesis.llm.within``), and what the
calls inside it know that it does not: tokens, cost, model. A span that contains others counts, and they are marked; of spans that
only share a response id, the first to end counts. On failure: a call counts twice; whatever instrumentations put on spans, nothing
here raises. No lock is taken, so a fork never inherits a held one; the memory used is bounded.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span

from genesis_otel import attributes as names
from genesis_otel._emit.tally import is_embedding
from genesis_otel._emit.values import keep
from genesis_otel._ship.calls.llm_names import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    INPUT_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    PROVIDERS,
    REASONING_TOKENS,
    SERVERS,
    cost_told,
    counts,
    first,
    is_llm_call,
    requested_model,
    tokens,
)
from genesis_otel._ship.cleaning.content import is_content
from genesis_otel._ship.encoding.attribute_text import Attributes, text_of

OPEN_AT_ONCE = 10_000
"""Maximum open spans remembered: the latest ones, if a process never ends its spans."""
ANSWERS_KEPT = 4_096
"""Response ids remembered: more than the calls that can end before a call's second span does."""

TOKENS = {
    names.GEN_AI_USAGE_INPUT_TOKENS: INPUT_TOKENS,
    names.GEN_AI_USAGE_OUTPUT_TOKENS: OUTPUT_TOKENS,
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: CACHE_READ_TOKENS,
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: CACHE_WRITE_TOKENS,
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: REASONING_TOKENS,
}
"""Token counts and their attribute names in various instrumentations, in the order of :class:`~genesis_otel._store.tokens.Tokens`."""

OF_THE_ANSWER = (
    names.GEN_AI_RESPONSE_MODEL,
    names.GEN_AI_RESPONSE_FINISH_REASONS,
    names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
    "anthropic.message.stop_reason",
)


class Inner(NamedTuple):
    """A call that ended inside another."""

    attributes: Attributes
    scope: str


class _Open:
    __slots__ = ("claimed", "counted", "inner", "parent", "parent_id", "span", "thread")

    def __init__(self, span: Span, parent: Span | None, parent_id: int, thread: int) -> None:
        self.span, self.parent, self.parent_id, self.thread = span, parent, parent_id, thread
        self.inner: list[Inner] = []
        self.claimed: set[str] = set()
        """Other instrumentations whose span of this call has ended."""
        self.counted: tuple[str, str] | None = None
        """Id and model of an inner or parallel call that already counts: when it ended, this span was not yet known to be a call."""


class _Answer(NamedTuple):
    span_id: str
    began: int
    ended: int
    scopes: set[str]


class Calls:
    """The open calls of this process, and its recent answers."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._open: dict[int, _Open] = {}
        # Spans of other scopes, separately as well: with thousands of open individuals, iterating over all took a millisecond per call.
        self._of_others: dict[int, _Open] = {}
        self._answers: dict[str, list[_Answer]] = {}

    def began(self, span: Span, parent_context: Context | None) -> None:
        """A span starts that may be a call or contain one: any span but our own records."""
        if self._pid != os.getpid():
            # In a forked child: the open spans are the parent's, and end there.
            self._begin()
        parent = trace.get_current_span(parent_context)
        around = parent if isinstance(parent, Span) else None
        opened = _Open(span, around, parent.get_span_context().span_id, threading.get_ident())
        span_id = span.get_span_context().span_id
        keep(self._open, span_id, opened, OPEN_AT_ONCE)
        if _scope(span) != names.SCOPE:
            keep(self._of_others, span_id, opened, OPEN_AT_ONCE)

    def inside(self, span: ReadableSpan) -> list[Inner]:
        """The calls that ended inside a span that is ending."""
        opened = self._open.get(id_of(span))
        return opened.inner if opened else []

    def counted_by(self, span: ReadableSpan, attributes: Attributes) -> str:
        """The id of the span that holds the row of this ending call; '' if that is its own."""
        opened = self._open.get(id_of(span))
        scope = _scope(span)
        if opened is not None and opened.counted and opened.counted[1] == _model(attributes):
            return opened.counted[0]
        outer = self._outer(opened, attributes, scope) if opened is not None else None
        if outer is not None:
            outer.inner.append(Inner(attributes, scope))
            return _hex(outer.span)
        return self._recorded(span, attributes, scope)

    def ended(self, span: ReadableSpan) -> None:
        """Forget a span that has ended."""
        if not self._open:
            return
        span_id = id_of(span)
        self._open.pop(span_id, None)
        self._of_others.pop(span_id, None)

    def _outer(self, opened: _Open, attributes: Attributes, scope: str) -> _Open | None:
        """The call that contains this one: an ancestor, or a span that an instrumentation started around it without making it the parent."""
        embeds = is_embedding(attributes)
        unknown: list[_Open] = []
        parent = opened.parent
        while parent is not None:
            around = self._open.get(parent.get_span_context().span_id)
            found = parent.attributes or {}
            if is_llm_call(found) and names.RECORD not in found:
                if is_embedding(found) != embeds or _are_two(found, _scope(parent), attributes, scope):
                    return None
                if around is not None and parent.end_time is None:
                    return around
                if any(tokens(found, each) is not None for each in TOKENS.values()) or cost_told(found):
                    return _Open(parent, None, 0, 0)
                # Its row is already written, without tokens or cost: a second row, with the tokens, is then the lesser evil.
                return None
            if around is None:
                break
            unknown.append(around)
            parent = around.parent
        model = _model(attributes)
        beside = [
            each
            for each in list(self._of_others.values())
            if each.thread == opened.thread
            and each.parent_id == opened.parent_id
            and each is not opened
            and _scope(each.span) != scope
            and scope not in each.claimed
            and (each.span.start_time or 0) <= (opened.span.start_time or 0)
        ]
        calls = [each for each in beside if is_llm_call(each.span.attributes or {})]
        matching = [each for each in calls if _is_call_of(each.span.attributes or {}, model, embeds=embeds)]
        if matching:
            matching[-1].claimed.add(scope)
            return matching[-1]
        # Some spans show only at their end what they are. If this one turns out to be a call of this model, it is the same call.
        unknown += [each for each in beside if each not in calls][-1:]
        for each in unknown:
            if each.counted is None and names.RECORD not in (each.span.attributes or {}):
                each.claimed.add(scope)
                each.counted = (_hex(opened.span), model)
        return None

    def _recorded(self, span: ReadableSpan, attributes: Attributes, scope: str) -> str:
        """The id of a span that ended earlier, from another instrumentation, overlapping this one in time and with the same answer."""
        began, ended = span.start_time or 0, span.end_time or 0
        told = answer_id_of(attributes)
        for answer_id in [told] if told else _answer_ids(attributes):
            for answer in self._answers.get(answer_id, ()):
                # Overlap is required because some endpoints give every answer the same id.
                if scope not in answer.scopes and answer.began <= ended and began <= answer.ended:
                    answer.scopes.add(scope)
                    return answer.span_id
        if told and span.context is not None:
            known = [*self._answers.get(told, ())[-15:], _Answer(f"{span.context.span_id:016x}", began, ended, {scope})]
            keep(self._answers, told, known, ANSWERS_KEPT)
        return ""


def missing(attributes: Attributes, inner: Iterable[Inner]) -> dict[str, Any]:
    """What the calls inside a call know that it does not; counts and cost are the inner calls' sums."""
    calls = list(inner)
    if not calls:
        return {}
    last = next((each for each in reversed(calls) if not text_of(each.attributes, names.ERROR_TYPE)), calls[-1])
    found: dict[str, Any] = {}
    if not any(is_content(name) for name in attributes):
        found.update({name: value for name, value in last.attributes.items() if is_content(name)})
    found.update({name: last.attributes[name] for name in OF_THE_ANSWER if name in last.attributes})
    for known in (PROVIDERS, SERVERS, MODELS):
        if first(attributes, known) is None:
            found.update({name: last.attributes[name] for name in known if name in last.attributes})
    if len(calls) == 1 and answer_id_of(last.attributes):
        found[names.GEN_AI_RESPONSE_ID] = answer_id_of(last.attributes)
    found = {name: value for name, value in found.items() if name not in attributes}
    found.update(_counts_missing(attributes, calls))
    if cost_told(attributes) is None:
        found.update(_cost_of(calls))
    return found


def _counts_missing(attributes: Attributes, calls: list[Inner]) -> dict[str, int]:
    sums = [_sum(each) for each in zip(*(counts(call.attributes, call.scope) for call in calls), strict=True)]
    told = [tokens(attributes, keys) for keys in TOKENS.values()]
    # If the outer span counts something else, none of its missing counts can be derived.
    if any(mine is not None and mine != theirs for mine, theirs in zip(told[:2], sums[:2], strict=True)):
        return {}
    return {
        name: theirs
        for name, mine, theirs in zip(TOKENS, told, sums, strict=True)
        if mine is None and theirs is not None
    }


def _sum(several: Iterable[int | None]) -> int | None:
    known = [each for each in several if each is not None]
    return sum(known) if known else None


def _cost_of(calls: list[Inner]) -> dict[str, Any]:
    """The sum of the calls' costs, if every one is known."""
    costs: dict[str, float] = {}
    for call in calls:
        source = text_of(call.attributes, names.LLM_COST_SOURCE)
        if source in names.COST_UNPRICED:
            return {}
        told = cost_told(call.attributes)
        costs[source] = costs.get(source, 0.0) + (told[0] if told else 0.0)
    return {
        names.GEN_AI_USAGE_COST: sum(costs.values()),
        # Of several sources, the one with the largest sum.
        names.LLM_COST_SOURCE: max(costs, key=lambda source: costs[source]),
    }


def answer_id_of(attributes: Attributes) -> str:
    """The provider's id of an answer; OpenInference has it only inside the answer, stored as JSON."""
    told = text_of(attributes, names.GEN_AI_RESPONSE_ID)
    answer = text_of(attributes, "output.value")
    if told or '"id"' not in answer:
        return told
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    # A model's own output may be JSON, too, but does not have a model name beside its id.
    known = isinstance(content, dict) and isinstance(content.get("model"), str) and isinstance(content.get("id"), str)
    return content["id"] if known else ""


def _answer_ids(attributes: Attributes) -> list[str]:
    """Candidates for the answer's id, if it is not told: LangChain's is somewhere in what OpenInference stores."""
    answer = text_of(attributes, "output.value")
    return re.findall(r'"id": ?"([^"\\]{1,200})"', answer) if answer else []


def _are_two(outer: Attributes, outer_scope: str, inner: Attributes, scope: str) -> bool:
    """Whether a call within another is one of its own: where a program records both itself, of two models, as a judge within a proposal."""
    return outer_scope == scope == names.SCOPE and _model(outer) != _model(inner)


def _is_call_of(attributes: Attributes, model: str, *, embeds: bool) -> bool:
    return (
        model != ""
        and _model(attributes) == model
        and is_embedding(attributes) == embeds
        and names.RECORD not in attributes
    )


def _model(attributes: Attributes) -> str:
    """The model's name without the provider prefix that gateways add."""
    return requested_model(attributes).rpartition("/")[2]


def id_of(span: ReadableSpan) -> int:
    """A span's id; 0 if it has none."""
    return span.context.span_id if span.context is not None else 0


def _hex(span: ReadableSpan) -> str:
    return f"{id_of(span):016x}"


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""
