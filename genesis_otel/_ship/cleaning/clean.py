"""Cleans an ended span for the store: secrets and unwanted content go, and texts of more than 16 MiB are truncated.

In: a span and its attributes, with what else has to change in them. Out: a span without secrets in its content, names, events, links,
status and resource; the same object if it has nothing to clean. On failure: a text that could not be redacted is replaced; of a span that
raises all the same, :func:`bare` keeps identifiers and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from genesis_otel import attributes as names
from genesis_otel._ship.cleaning.content import (
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
from genesis_otel._ship.cleaning.untouched import is_untouched
from genesis_otel._ship.encoding.attribute_text import Attributes, text_of
from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.redact import Redact, recognised, without_secrets


class Cleaner:
    """Cleans spans; the parameters are those of :class:`genesis_otel._ship.finish.LLMSpanProcessor`."""

    def __init__(
        self,
        *,
        capture_content: bool,
        capture_code: bool,
        capture_output: bool,
        redact: Redact | None,
        elsewhere: Redact | None,
    ) -> None:
        self._capture_content = capture_content
        self._capture_code = capture_code
        self._capture_output = capture_output
        elsewhere = elsewhere or redact
        self._captures = capture_content and capture_code and capture_output
        # Without custom patterns or hooks, all texts can be searched at once.
        self._usual = self._captures and redact is recognised and elsewhere is recognised
        self._redact = None if redact is None else surely(redact)
        # The usual one does not fail, and is recognised by identity.
        self._elsewhere = elsewhere if elsewhere is None or elsewhere is recognised else surely(elsewhere)
        self._resource: tuple[Resource, Resource] | None = None

    def is_clean(self, span: ReadableSpan, attributes: Attributes) -> bool:
        """Whether a single search over all texts of a span shows that nothing has to be cleaned, as it usually does."""
        return (
            self._usual
            and self._cleaned_resource(span.resource, recognised) is span.resource
            and is_untouched(span, attributes)
        )

    def cleaned(
        self, span: ReadableSpan, attributes: Attributes, changes: dict[str, Any], *, is_changed: bool
    ) -> ReadableSpan:
        """The span with these attributes and changes, cleaned.

        :param is_changed: whether ``attributes`` are other than the span's own.
        """
        _bound(attributes, changes)
        events = self._events(span.events)
        status = None
        others: dict[str, Any] = {}
        if self._redact is not None or not self._captures:
            self._clean(attributes, changes)
            status = self._status(span.status)
        if self._elsewhere is not None:
            others = self._others(span, self._elsewhere)
        if not is_changed and not changes and events is None and status is None and not others:
            return span
        return Changed(span, {**attributes, **changes}, events, status, **others)

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
        # Our own records have none, but others may write on them, as on any current span.
        if names.RECORD not in attributes or not self._capture_content:
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

    def _others(self, span: ReadableSpan, redact: Redact) -> dict[str, Any]:
        """The changes needed outside attributes, events and status: name, links, resource."""
        others: dict[str, Any] = {}
        name = redact(span.name)
        if name != span.name:
            others["name"] = name
        cleaned = [clean(link.attributes or {}, redact) for link in span.links]
        if any(cleaned):
            others["links"] = tuple(
                Link(link.context, _with(link.attributes or {}, changed)) if changed else link
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
            cleaned = Resource(_with(resource.attributes, changed), resource.schema_url) if changed else resource
            known = self._resource = (resource, cleaned)
        return known[1]

    def _events(self, events: Sequence[Event]) -> list[Event] | None:
        changed = False
        cleaned = []
        for event in events:
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
            kept = _with(kept, clean(others, self._elsewhere))
        return kept

    def _status(self, status: Status) -> Status | None:
        if self._redact is None or not status.description:
            return None
        said = self._redact(status.description)
        return None if said == status.description else Status(status.status_code, said)


class Changed(ReadableSpan):
    """A span with some parts replaced; everything else, including the counts of what the SDK dropped, is kept."""

    def __init__(
        self,
        span: ReadableSpan,
        attributes: Attributes,
        events: Sequence[Event] | None,
        status: Status | None,
        end_time: int | None = None,
        *,
        start_time: int | None = None,
        name: str | None = None,
        links: Sequence[Link] | None = None,
        resource: Resource | None = None,
    ) -> None:
        super().__init__(
            name=span.name if name is None else name,
            context=span.context,
            parent=span.parent,
            resource=span.resource if resource is None else resource,
            attributes={name: value for name, value in attributes.items() if value is not None}
            if None in attributes.values()
            else attributes,
            events=span.events if events is None else tuple(events),
            links=span.links if links is None else links,
            kind=span.kind,
            status=span.status if status is None else status,
            start_time=span.start_time if start_time is None else start_time,
            end_time=span.end_time if end_time is None else end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._original = span

    @property
    def dropped_attributes(self) -> int:
        return self._original.dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self._original.dropped_events

    @property
    def dropped_links(self) -> int:
        return self._original.dropped_links


def bare(span: ReadableSpan) -> ReadableSpan:
    """A span that could not be completed, stripped of everything that may be content."""
    kept = {name: value for name, value in (span.attributes or {}).items() if _is_bare(name, value)}
    resource = Resource({name: value for name, value in span.resource.attributes.items() if _is_bare(name, value)})
    return Changed(span, kept, (), Status(span.status.status_code), name="", links=(), resource=resource)


def _is_bare(name: str, value: object) -> bool:
    if isinstance(value, (bool, int, float)):
        return kind_of(name) < Kind.SURE
    is_identifier = name.endswith(IDENTIFIERS) or name in (names.RECORD, SERVICE_NAME)
    each = value if isinstance(value, (tuple, list)) else (value,)
    return is_identifier and all(isinstance(one, str) for one in each)


def _with(attributes: Attributes, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with changes, of which None removes one."""
    return {name: value for name, value in {**attributes, **changes}.items() if value is not None}


def _bound(attributes: Attributes, changes: dict[str, Any]) -> None:
    left_out = 0
    for name, value in attributes.items():
        kept, characters = bounded(value)
        if kept is not value:
            changes[name] = kept
            left_out += characters
    if left_out:
        changes[names.LEFT_OUT] = left_out
