"""Completes spans before they are stored: adds the cost of LLM calls, and removes secrets or all content.

In: ended spans, our own and those of any instrumentation. Out: the same spans to the next processor, LLM calls with
``gen_ai.usage.cost`` and its source, content redacted or removed, secrets gone from everything else too (names, events, links and
the resource), and texts of more than 16 MiB truncated. The cost is added to the open individual and
generation. On failure: a span is passed on without its cost, and a text that could not be redacted is replaced;
nothing here raises.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, Status, StatusCode

from genesis_otel import attributes as names
from genesis_otel._emit.belonging import check
from genesis_otel._emit.context import Place
from genesis_otel._emit.interruption import foreign, pass_on, uninterrupted
from genesis_otel._emit.opened import only_run
from genesis_otel._emit.tally import account, account_unpriced
from genesis_otel._emit.values import keep, warn_once
from genesis_otel._ship import charges
from genesis_otel._ship.content import (
    EXCEPTION_TEXTS,
    IDENTIFIERS,
    MESSAGE_EVENT_KEPT,
    MESSAGE_EVENTS,
    OTHER_TEXTS,
    OWN_JSON,
    OWN_TEXTS,
    bounded,
    clean,
    is_content,
    redacted,
    surely,
    without_content,
)
from genesis_otel._ship.llm_names import (
    Attributes,
    cost_told,
    counts,
    counts_told,
    is_embedding,
    is_llm_call,
    models,
    nothing_told,
    provider,
    text_of,
)
from genesis_otel._ship.redaction.redact import Redact, recognised, redactor, without_secrets
from genesis_otel._ship.same_call import OPEN_AT_ONCE, Calls, answer_id_of, missing
from genesis_otel._ship.untouched import is_untouched
from genesis_otel._store import prices as _prices
from genesis_otel._store.own_prices import OwnPrices
from genesis_otel._store.tokens import Tokens

__all__ = ["LLMSpanProcessor", "is_llm_call", "price", "redactor"]

logger = logging.getLogger(__name__)


CALLS_ON_RECORDS = ("gen_ai.", "llm.", "litellm.", "metadata.", "hidden_params")
"""Prefixes of LiteLLM's attribute names."""


class LLMSpanProcessor(SpanProcessor):
    """Precedes another processor, and passes it spans as they should be stored.

    :param next_processor: receives every span.
    :param capture_content: false removes prompts and responses, wherever instrumentations put them.
    :param capture_code: false removes the code of individuals.
    :param capture_output: false removes the output of evaluations.
    :param redact: replaces secrets in content; None leaves texts unchanged. :func:`redactor` makes the usual one.
    :param elsewhere: replaces secrets in everything else; None: as ``redact`` does.
    :param prices: false adds no cost.
    :param own_prices: take precedence over the price list.
    """

    def __init__(
        self,
        next_processor: SpanProcessor,
        *,
        capture_content: bool = True,
        capture_code: bool = True,
        capture_output: bool = True,
        redact: Redact | None = None,
        elsewhere: Redact | None = None,
        prices: bool = True,
        own_prices: OwnPrices = _prices.NO_OWN_PRICES,
    ) -> None:
        self._next = next_processor
        self._capture_content = capture_content
        self._capture_code = capture_code
        self._capture_output = capture_output
        elsewhere = elsewhere or redact
        # Without custom patterns or hooks, all texts can be searched at once.
        captures = capture_content and capture_code and capture_output
        self._usual = captures and redact is recognised and elsewhere is recognised
        self._redact = None if redact is None else surely(redact)
        # The usual one does not fail, and is recognised by identity.
        self._elsewhere = elsewhere if elsewhere is None or elsewhere is recognised else surely(elsewhere)
        self._resource: tuple[Resource, Resource] | None = None
        self._calls = Calls()
        self._guessed: dict[int, str] = {}
        """For open spans without a run id, the only run that was open when they began."""
        self._prices = prices
        self._own_prices = own_prices

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where the span belongs, for the calls in it."""
        try:
            told = span.attributes
            # Our own records begin without attributes: they are not calls or parts of calls, and their starter has already found the run.
            if told or span.instrumentation_scope is None or span.instrumentation_scope.name != names.SCOPE:
                self._began(span, parent_context, told or {})
        except Exception as error:
            pass_on(error)
            warn_once(
                "start of a call",
                "What a span belongs to could not be determined; a call may count twice",
                exc_info=True,
            )
        self._next.on_start(span, parent_context)

    def _began(self, span: Span, parent_context: Context | None, told: Attributes) -> None:
        self._calls.began(span, parent_context)
        if names.RUN_ID not in told and names.RUN_ID not in span.resource.attributes:
            run_id = only_run(span.start_time)
            if run_id:
                keep(self._guessed, _id(span), run_id, OPEN_AT_ONCE)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass the span on, as it should be stored."""
        costs: list[Attributes] = []
        try:
            self._next.on_end(self._completed(span, costs))
        except BaseException as error:
            if foreign(error):
                uninterrupted(lambda: self.retake(span, costs))
            raise
        finally:
            self._calls.ended(span)
            if self._guessed:
                self._guessed.pop(_id(span), None)

    def retake(self, span: ReadableSpan, costs: list[Attributes] | None = None) -> None:
        """Pass on a span whose end was interrupted by an exception from a signal handler, unless the next processor has it.

        :param costs: what is already accounted for.
        """
        took = getattr(self._next, "took", None)
        if took is not None and span.context is not None and not took(span.context.span_id):
            self._next.on_end(self._completed(span, costs if costs is not None else []))

    def _completed(self, span: ReadableSpan, costs: list[Attributes]) -> ReadableSpan:
        try:
            return self._complete(span, costs)
        except Exception as error:
            pass_on(error)
            warn_once("llm span", "A span could not be cleaned; it is recorded without any content", exc_info=True)
            return _bare(span)

    def as_held(self, span: Span, attributes: Attributes, end_time: int) -> ReadableSpan:
        """A held span as it should be stored if its process died now: ended, with these attributes."""
        return self._complete(_Changed(span, {**_plain(span.attributes), **attributes}, None, None, end_time), [])

    def shutdown(self) -> None:
        """Only the next processor's shutdown."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Only the next processor's flush."""
        return self._next.force_flush(timeout_millis)

    def _complete(self, span: ReadableSpan, costs: list[Attributes]) -> ReadableSpan:
        # As a dict: the SDK's own mapping takes a microsecond per lookup.
        attributes = _plain(span.attributes)
        told = attributes
        changes: dict[str, Any] = {}
        try:
            if names.RECORD in attributes:
                attributes = _without_calls(attributes)
            elif is_llm_call(attributes):
                # Computed and accounted for only once, however often this is interrupted.
                if not costs:
                    costs.append(self._call(span, attributes))
                changes.update(costs[0])
                attributes = {**attributes, **changes}
        except Exception as error:
            pass_on(error)
            warn_once("llm cost", "The cost of a call could not be added", exc_info=True)
        if (
            self._usual
            and self._cleaned_resource(span.resource, recognised) is span.resource
            and is_untouched(span, attributes)
        ):
            return span if attributes is told else _Changed(span, attributes, None, None)
        self._bound(attributes, changes)
        events = self._events(span.events)
        status = None
        others: dict[str, Any] = {}
        if self._redact is not None or not (self._capture_content and self._capture_code and self._capture_output):
            self._clean(attributes, changes)
            status = self._status(span.status)
        if self._elsewhere is not None:
            others = self._others(span, self._elsewhere)
        if attributes is told and not changes and events is None and status is None and not others:
            return span
        return _Changed(span, {**attributes, **changes}, events, status, **others)

    def _call(self, span: ReadableSpan, attributes: Attributes) -> Attributes:
        """What a call's span lacks: what other spans of the same call know, its run, its cost, and whether it counts."""
        changes = missing(attributes, self._calls.inside(span))
        run_id = self._guessed.get(_id(span), "")
        if run_id and names.RUN_ID not in attributes:
            check("an LLM call", Place(run_id, guessed=True), recording=True)
            changes |= {names.RUN_ID: run_id, names.PLACE: "guessed"}
        known = {**attributes, **changes}
        if names.LLM_COST_SOURCE not in known and (charge := charges.take(answer_id_of(known))):
            changes |= {names.GEN_AI_USAGE_COST: charge, names.LLM_COST_SOURCE: names.COST_OPENROUTER}
            known |= changes
        cost, found = self._cost(span, known)
        changes |= found
        known |= found
        within = self._calls.counted_by(span, known)
        if within:
            changes[names.LLM_WITHIN] = within
        elif cost or known.get(names.LLM_COST_SOURCE, "") not in names.COST_UNPRICED:
            account(known, cost)
        else:
            account_unpriced(known)
        return {**changes, **_without_vectors(known)}

    def _cost(self, span: ReadableSpan, attributes: Attributes) -> tuple[float, Attributes]:
        scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
        tokens = counts(attributes, scope)
        told = cost_told(attributes)
        # From our own API a cost of 0 is meant; instrumentations report 0 for models that they have no price for.
        meant = scope == names.SCOPE or not (tokens.input or tokens.output)
        if told is None and meant and nothing_told(attributes):
            told = (0.0, names.COST_TOLD)
        changes = self._metadata(attributes, tokens)
        if told is None and self._prices:
            error = _error(span, attributes)
            cost, source = _priced(attributes, tokens, span.start_time, error, self._own_prices)
            changes |= {names.GEN_AI_USAGE_COST: cost, names.LLM_COST_SOURCE: source}
        elif told is None:
            return 0.0, changes
        else:
            cost, source = told
            if names.LLM_COST_SOURCE not in attributes:
                changes[names.LLM_COST_SOURCE] = source
            if source in (names.COST_OPENROUTER, names.COST_LITELLM):
                changes[names.GEN_AI_USAGE_COST] = cost
        return cost, changes

    @staticmethod
    def _metadata(attributes: Attributes, tokens: Tokens) -> dict[str, Any]:
        """A caller's metadata with the reported token counts added, if the row has different ones."""
        if names.LLM_METADATA not in attributes:
            return {}
        told = counts_told(attributes)
        if told[:2] == tokens[:2]:
            return {}
        try:
            metadata = json.loads(attributes[names.LLM_METADATA])
            metadata["tokens_told"] = {"input": told.input, "output": told.output}
            return {names.LLM_METADATA: json.dumps(metadata)}
        except (ValueError, TypeError):
            return {}

    def _clean(self, attributes: Attributes, changes: dict[str, Any]) -> None:
        """Put into ``changes`` the texts to replace, or, as None, to remove."""
        redact = self._redact
        if not self._capture_code and names.INDIVIDUAL_CODE in attributes:
            changes[names.INDIVIDUAL_CODE] = None
        if not self._capture_output and names.EVALUATION_OUTPUT in attributes:
            changes[names.EVALUATION_OUTPUT] = None
        if not self._capture_content:
            for name in OWN_JSON:
                if name in attributes:
                    changes[name] = without_content(attributes[name])
        if names.RECORD not in attributes:
            for name, value in attributes.items():
                if is_content(name):
                    value = changes.get(name, value)
                    changes[name] = redacted(value, redact) if self._capture_content else None
        if redact is not None:
            for name in OWN_TEXTS.get(text_of(attributes, names.RECORD), OTHER_TEXTS):
                value = changes.get(name, attributes.get(name))
                if value is not None:
                    value = redacted(value, redact)
                    changes[name] = without_secrets(value) if name == names.RUN_CONFIG else value
        if self._elsewhere is not None:
            record = attributes.get(names.RECORD)
            done = OWN_TEXTS.get(text_of(attributes, names.RECORD), OTHER_TEXTS)
            rest = {
                name: changes.get(name, value)
                for name, value in attributes.items()
                if name not in done and (record is not None or not is_content(name))
            }
            changes.update(clean(rest, self._elsewhere))
        for name in [name for name, value in changes.items() if value is attributes.get(name, changes)]:
            del changes[name]

    @staticmethod
    def _bound(attributes: Attributes, changes: dict[str, Any]) -> None:
        left_out = 0
        for name, value in attributes.items():
            kept, characters = bounded(value)
            if characters:
                changes[name] = kept
                left_out += characters
        if left_out:
            changes[names.LEFT_OUT] = left_out

    def _others(self, span: ReadableSpan, redact: Redact) -> dict[str, Any]:
        """The changes needed outside attributes, events and status: name, links, resource."""
        others: dict[str, Any] = {}
        name = redact(span.name)
        if name != span.name:
            others["name"] = name
        cleaned = [clean(link.attributes or {}, redact) for link in span.links]
        if any(cleaned):
            others["links"] = tuple(
                Link(link.context, {**(link.attributes or {}), **changed}) if changed else link
                for link, changed in zip(span.links, cleaned, strict=True)
            )
        resource = self._cleaned_resource(span.resource, redact)
        if resource is not span.resource:
            others["resource"] = resource
        return others

    def _cleaned_resource(self, resource: Resource, redact: Redact) -> Resource:
        """A resource without secrets; the same object if it has none. Cached, since all spans of a provider share it."""
        known = self._resource
        if known is None or known[0] is not resource:
            changed = clean(resource.attributes, redact)
            cleaned = Resource({**resource.attributes, **changed}, resource.schema_url) if changed else resource
            known = self._resource = (resource, cleaned)
        return known[1]

    def _events(self, events: Sequence[Event]) -> list[Event] | None:
        changed = False
        cleaned = []
        for event in events:
            if event.name == names.EVENT_EVALUATION_RESULT:
                cleaned.append(event)
                continue
            attributes = dict(event.attributes or {})
            kept = self._event_attributes(event.name, attributes)
            name = event.name if self._elsewhere is None else self._elsewhere(event.name)
            if kept != attributes or name != event.name:
                changed = True
                event = Event(name, kept, event.timestamp)
            cleaned.append(event)
        return cleaned if changed else None

    def _event_attributes(self, event: str, attributes: dict[str, Any]) -> dict[str, Any]:
        is_message = event in MESSAGE_EVENTS
        kept = {}
        others = {}
        for name, value in attributes.items():
            value = bounded(value)[0]
            holds_content = is_content(name) or (is_message and name not in MESSAGE_EVENT_KEPT)
            if holds_content and not self._capture_content:
                continue
            if holds_content or name in EXCEPTION_TEXTS or name == names.PARETO_FRONT_MEMBERS:
                value = redacted(value, self._redact)
            else:
                others[name] = value
            kept[name] = value
        if self._elsewhere is not None:
            kept.update(clean(others, self._elsewhere))
        return kept

    def _status(self, status: Status) -> Status | None:
        if self._redact is None or not status.description:
            return None
        said = self._redact(status.description)
        return None if said == status.description else Status(status.status_code, said)


class _Changed(ReadableSpan):
    """A span with some parts replaced; everything else, including the counts of what the SDK dropped, is kept."""

    def __init__(
        self,
        span: ReadableSpan,
        attributes: Attributes,
        events: Sequence[Event] | None,
        status: Status | None,
        end_time: int | None = None,
        *,
        name: str | None = None,
        links: Sequence[Link] | None = None,
        resource: Resource | None = None,
    ) -> None:
        super().__init__(
            name=span.name if name is None else name,
            context=span.context,
            parent=span.parent,
            resource=span.resource if resource is None else resource,
            attributes={name: value for name, value in attributes.items() if value is not None},
            events=span.events if events is None else tuple(events),
            links=span.links if links is None else links,
            kind=span.kind,
            status=span.status if status is None else status,
            start_time=span.start_time,
            end_time=span.end_time if end_time is None else end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)

    @property
    def dropped_attributes(self) -> int:
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        return self._dropped[2]


def _plain(attributes: Attributes | None) -> dict[str, Any]:
    copy = getattr(attributes, "copy", None)
    copied = copy() if copy is not None else attributes
    return copied if type(copied) is dict else dict(copied or {})


def price(
    attributes: Attributes,
    start_time: int | None = None,
    scope: str = "",
    *,
    error: str | None = None,
    own: OwnPrices = _prices.NO_OWN_PRICES,
) -> tuple[float, str]:
    """What an LLM call cost in USD by its tokens, at the prices of its day, and the source of that cost."""
    return _priced(attributes, counts(attributes, scope), start_time, error, own)


def _priced(
    attributes: Attributes, tokens: Tokens, start_time: int | None, error: str | None, own: OwnPrices
) -> tuple[float, str]:
    moment = datetime.fromtimestamp(start_time / 1e9, timezone.utc) if start_time else None
    return _prices.price_of(models(attributes), provider(attributes), tokens, moment, own=own, error=error)


def _without_calls(attributes: dict[str, Any]) -> dict[str, Any]:
    """One of our records without the calls that LiteLLM writes on the current span, each overwriting the last."""
    if "gen_ai." not in " ".join(attributes):
        return attributes  # the usual case
    written = [name for name in attributes if name.startswith(CALLS_ON_RECORDS)]
    if not any(name.startswith("gen_ai.") for name in written):
        return attributes
    warn_once(
        "calls on a record",
        "LLM calls were written on a span of %s, each overwriting the last, and are left out: set USE_OTEL_LITELLM_REQUEST_SPAN=true, so "
        "that LiteLLM gives each call its own span",
        names.SCOPE,
    )
    return {name: value for name, value in attributes.items() if name not in written}


def _without_vectors(attributes: Attributes) -> dict[str, None]:
    """Removals for an embedding's output: thousands of numbers that nobody reads."""
    if not is_embedding(attributes):
        return {}
    return {name: None for name in attributes if name == "output.value" or name.endswith(".embedding.vector")}


def _id(span: ReadableSpan) -> int:
    return span.context.span_id if span.context is not None else 0


def _error(span: ReadableSpan, attributes: Attributes) -> str | None:
    """The error that ended a call, as in ``llm_logs``; None if it succeeded."""
    kind = text_of(attributes, names.ERROR_TYPE)
    thrown = next((dict(event.attributes or {}) for event in span.events if event.name == "exception"), None)
    if not kind and thrown is None and span.status.status_code is not StatusCode.ERROR:
        return None
    thrown = thrown or {}
    message = thrown.get("exception.message") or span.status.description or ""
    return f"{kind or thrown.get('exception.type', '')}: {message}"


def _bare(span: ReadableSpan) -> ReadableSpan:
    """A span that could not be completed, stripped of everything that may be content."""
    kept = {
        name: value
        for name, value in (span.attributes or {}).items()
        if name.endswith(IDENTIFIERS) or name == names.RECORD or isinstance(value, (bool, int, float))
    }
    return _Changed(span, kept, (), Status(span.status.status_code), name="", links=(), resource=span.resource)
