"""What LLM spans lack and what they must not carry: their cost goes in, secrets or the whole content go out.

In: ended spans, our own and those of any instrumentation. Out: the same to the next processor, LLM calls with
``gen_ai.usage.cost`` and where it comes from, content redacted or removed. The cost is told to the open individual and
generation. On failure: a span goes on without its cost, and a text that could not be redacted goes on without the text;
nothing here raises.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Status

from genesis_otel import _prices, spans
from genesis_otel import attributes as names
from genesis_otel._redact import REDACTED, Redact, redactor, without_secrets
from genesis_otel._values import to_json, warn_once

__all__ = ["LLMSpanProcessor", "is_llm_call", "price", "redactor"]

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Any]

# --- which spans are LLM calls, and how they are called out there (the SQL of llm_logs reads the same names) ----------

OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
OPENINFERENCE_KINDS = frozenset({"LLM", "EMBEDDING"})
REQUEST_TYPES = frozenset({"chat", "completion", "embedding"})

MODELS = (
    names.GEN_AI_RESPONSE_MODEL,
    names.GEN_AI_REQUEST_MODEL,
    "llm.response.model",
    "llm.request.model",
    "llm.model_name",
    "embedding.model_name",
)
PROVIDERS = (names.GEN_AI_PROVIDER_NAME, "gen_ai.system", "llm.provider", "llm.system")
INPUT_TOKENS = (
    names.GEN_AI_USAGE_INPUT_TOKENS,
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
)
OUTPUT_TOKENS = (
    names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
)
CACHE_READ_TOKENS = (
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE_TOKENS = (
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
COSTS = (names.GEN_AI_USAGE_COST, "llm.cost.total")

# --- what is content --------------------------------------------------------------------------------------------------

CONTENT = frozenset(
    {
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_OUTPUT_MESSAGES,
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.prompt",
        "gen_ai.completion",
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
    }
)
CONTENT_PREFIXES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts",
    "llm.completions",
    "llm.choices.",
    "llm.function_call",
    "llm.prompt_template.",
    "embedding.embeddings.",
)
NO_CONTENT = frozenset({"gen_ai.prompt.name", "gen_ai.prompt.version"})

MESSAGE_EVENTS = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    }
)
"""Events that are content, but for these of their attributes:"""
MESSAGE_EVENT_KEPT = frozenset(
    {"gen_ai.system", names.GEN_AI_PROVIDER_NAME, "role", "index", "finish_reason", "id", "event.name"}
)

EXCEPTION_TEXTS = frozenset({"exception.message", "exception.stacktrace"})

OWN_TEXTS: dict[str, tuple[str, ...]] = {
    names.RECORD_RUN: (names.RUN_CONFIG,),
    names.RECORD_GENERATION: (names.GENERATION_METADATA,),
    names.RECORD_INDIVIDUAL: (names.INDIVIDUAL_CODE, names.INDIVIDUAL_METRICS, names.LINEAGE_EDIT_SUMMARY),
    names.RECORD_LINEAGE: (names.LINEAGE_EDIT_SUMMARY,),
    names.RECORD_EVALUATION: (names.EVALUATION_DETAILS, names.EVALUATION_METADATA),
    names.RECORD_ACTION: (names.ACTION_DETAILS, names.ACTION_METADATA),
    names.RECORD_PARETO_FRONT: (),
}
"""Of our own records' attributes, those that may hold a secret."""

OTHER_TEXTS = (names.LLM_METADATA,)

OWN_JSON = (
    names.EVALUATION_DETAILS,
    names.EVALUATION_METADATA,
    names.ACTION_DETAILS,
    names.ACTION_METADATA,
    names.LLM_METADATA,
)
CONTENT_FIELDS = frozenset(
    {
        "llm_result",
        "messages",
        "prompt",
        "prompts",
        "response",
        "responses",
        "completion",
        "thought",
        "msg",
        "system_msg",
        "new_msg_history",
    }
)
"""Fields under which searches put prompts and answers into the details and metadata of their actions."""


class LLMSpanProcessor(SpanProcessor):
    """Stands before another processor, and hands it spans as they should be stored.

    :param next_processor: gets every span.
    :param capture_content: false removes prompts and responses, wherever instrumentations put them.
    :param capture_code: false removes the code of individuals.
    :param redact: replaces secrets in a text; None leaves texts as they are. :func:`redactor` makes the usual one.
    :param prices: false adds no cost.
    """

    def __init__(
        self,
        next_processor: SpanProcessor,
        *,
        capture_content: bool = True,
        capture_code: bool = True,
        redact: Redact | None = None,
        prices: bool = True,
    ) -> None:
        self._next = next_processor
        self._capture_content = capture_content
        self._capture_code = capture_code
        self._redact = None if redact is None else _surely(redact)
        self._price = price if prices else None
        if prices:
            _prices.load()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing but the next processor's."""
        self._next.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand the span on, as it should be stored."""
        try:
            span = self._complete(span)
        except Exception:
            warn_once("llm span", "A span could not be cleaned of content and goes on without any", exc_info=True)
            span = _bare(span)
        self._next.on_end(span)

    def shutdown(self) -> None:
        """Nothing but the next processor's."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing but the next processor's."""
        return self._next.force_flush(timeout_millis)

    def _complete(self, span: ReadableSpan) -> ReadableSpan:
        # As a dict: the SDK's own mapping takes a microsecond a look.
        attributes = _plain(span.attributes)
        changes: dict[str, Any] = {}
        try:
            if names.RECORD not in attributes and is_llm_call(attributes):
                changes.update(self._cost(span, attributes))
        except Exception:
            warn_once("llm cost", "The cost of a call could not be added", exc_info=True)
        events = status = None
        if self._redact is not None or not (self._capture_content and self._capture_code):
            self._clean(attributes, changes)
            events = self._events(span.events)
            status = self._status(span.status)
        if not changes and events is None and status is None:
            return span
        return _Changed(span, {**attributes, **changes}, events, status)

    def _cost(self, span: ReadableSpan, attributes: Attributes) -> Attributes:
        told = _first(attributes, COSTS)
        changes: dict[str, Any] = {}
        if told is not None:
            cost = _number(told) or 0.0
            if names.LLM_COST_SOURCE not in attributes:
                changes[names.LLM_COST_SOURCE] = names.COST_TOLD
        elif self._price is None:
            return changes
        else:
            cost, source = self._price(attributes, span.start_time)
            changes = {names.GEN_AI_USAGE_COST: cost, names.LLM_COST_SOURCE: source}
        spans.account(attributes, cost)
        return changes

    def _clean(self, attributes: Attributes, changes: dict[str, Any]) -> None:
        """Note in ``changes`` what is to be another text, or (None) not there."""
        redact = self._redact
        if not self._capture_code and names.INDIVIDUAL_CODE in attributes:
            changes[names.INDIVIDUAL_CODE] = None
        if not self._capture_content:
            for name in OWN_JSON:
                if name in attributes:
                    changes[name] = _without_content(attributes[name])
        if names.RECORD not in attributes:
            for name, value in attributes.items():
                if _is_content(name):
                    changes[name] = _redacted(value, redact) if self._capture_content else None
        if redact is not None:
            for name in OWN_TEXTS.get(_said(attributes, names.RECORD), OTHER_TEXTS):
                value = changes.get(name, attributes.get(name))
                if value is not None:
                    value = _redacted(value, redact)
                    changes[name] = without_secrets(value) if name == names.RUN_CONFIG else value
        for name in [name for name, value in changes.items() if value is attributes.get(name, changes)]:
            del changes[name]

    def _events(self, events: Sequence[Event]) -> list[Event] | None:
        changed = False
        cleaned = []
        for event in events:
            if event.name == names.EVENT_EVALUATION_RESULT:
                cleaned.append(event)
                continue
            attributes = dict(event.attributes or {})
            kept = self._event_attributes(event.name, attributes)
            if kept != attributes:
                changed = True
                event = Event(event.name, kept, event.timestamp)
            cleaned.append(event)
        return cleaned if changed else None

    def _event_attributes(self, event: str, attributes: dict[str, Any]) -> dict[str, Any]:
        is_message = event in MESSAGE_EVENTS
        kept = {}
        for name, value in attributes.items():
            is_content = _is_content(name) or (is_message and name not in MESSAGE_EVENT_KEPT)
            if is_content and not self._capture_content:
                continue
            if is_content or name in EXCEPTION_TEXTS or name == names.PARETO_FRONT_MEMBERS:
                value = _redacted(value, self._redact)
            kept[name] = value
        return kept

    def _status(self, status: Status) -> Status | None:
        if self._redact is None or not status.description:
            return None
        said = self._redact(status.description)
        return None if said == status.description else Status(status.status_code, said)


class _Changed(ReadableSpan):
    """A span with other attributes, events or status; all else, the counts of what the SDK dropped included, stays."""

    def __init__(
        self, span: ReadableSpan, attributes: Attributes, events: Sequence[Event] | None, status: Status | None
    ) -> None:
        super().__init__(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={name: value for name, value in attributes.items() if value is not None},
            events=span.events if events is None else tuple(events),
            links=span.links,
            kind=span.kind,
            status=span.status if status is None else status,
            start_time=span.start_time,
            end_time=span.end_time,
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


def is_llm_call(attributes: Attributes) -> bool:
    """Whether a span with these attributes is a call of a model; agents and tools are none."""
    operation = _said(attributes, names.GEN_AI_OPERATION_NAME)
    return (
        operation in OPERATIONS
        or _said(attributes, "openinference.span.kind") in OPENINFERENCE_KINDS
        or _said(attributes, "llm.request.type") in REQUEST_TYPES
        or not (
            operation or not _said(attributes, "gen_ai.system") or not _said(attributes, names.GEN_AI_REQUEST_MODEL)
        )
    )


def price(attributes: Attributes, start_time: int | None = None) -> tuple[float, str]:
    """What an LLM call cost in USD by its tokens, at the prices of its day, and where that comes from."""
    counts = (INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS)
    return _prices.price_of(
        _models(attributes),
        str(_first(attributes, PROVIDERS) or ""),
        _prices.Tokens(*(_tokens(attributes, keys) for keys in counts)),
        datetime.fromtimestamp(start_time / 1e9, timezone.utc) if start_time else None,
    )


def _models(attributes: Attributes) -> Iterable[str]:
    found = [attributes[key] for key in MODELS if isinstance(attributes.get(key), str) and attributes[key]]
    if not found and "llm.invocation_parameters" in attributes:
        try:
            asked = json.loads(attributes["llm.invocation_parameters"])["model"]
        except (ValueError, TypeError, KeyError):
            asked = None
        found = [asked] if isinstance(asked, str) else []
    return dict.fromkeys(found)


def _first(attributes: Attributes, keys: Iterable[str]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) not in (None, "")), None)


def _said(attributes: Attributes, key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _tokens(attributes: Attributes, keys: Iterable[str]) -> int | None:
    count = _number(_first(attributes, keys))
    return int(count) if count is not None and 0 <= count < 2**63 else None


def _is_content(name: str) -> bool:
    return name in CONTENT or (name.startswith(CONTENT_PREFIXES) and name not in NO_CONTENT)


def _redacted(value: Any, redact: Redact | None) -> Any:
    if redact is None:
        return value
    if isinstance(value, str):
        return redact(value)
    return tuple(_redacted(one, redact) for one in value) if isinstance(value, (tuple, list)) else value


def _surely(redact: Redact) -> Redact:
    """``redact``, but where it raises the whole text is redacted."""

    def surely(text: str) -> str:
        try:
            return redact(text)
        except Exception:
            warn_once("redact", "A text could not be redacted and is left out", exc_info=True)
            return REDACTED

    return surely


def _without_content(text: object) -> object:
    """Details or metadata of an action without prompts and answers."""
    if not isinstance(text, str) or not any(f'"{field}"' in text for field in CONTENT_FIELDS):
        return text
    try:
        return to_json(_pruned(json.loads(text)))
    except (ValueError, RecursionError):
        return None


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(of) for name, of in value.items() if name not in CONTENT_FIELDS}
    return [_pruned(of) for of in value] if isinstance(value, list) else value


def _bare(span: ReadableSpan) -> ReadableSpan:
    """A span that could not be completed, without anything that may be content."""
    kept = {
        name: value
        for name, value in (span.attributes or {}).items()
        if not _is_content(name) and not any(name in own for own in (*OWN_TEXTS.values(), OTHER_TEXTS))
    }
    return _Changed(span, kept, (), Status(span.status.status_code))
