"""Tags and notes that people add to a run after it was recorded.

In: settings, a run id, tags or a text. Out: one action of the run for each (`tag`, `untag`, `note`), and nothing else: the run's status,
end and generations stay as they were, and a remark is not a sign of life (``sql/parts/state.sql``). On failure: StoreError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan

from genesis_otel._emit.actions import action_attributes
from genesis_otel._emit.context import Place, derived_span_context
from genesis_otel._read.append import appending
from genesis_otel._settings import Settings
from genesis_otel.attributes import SCOPE


def tag(settings: Settings, run_id: str, tags: Sequence[str], *, remove: bool = False) -> None:
    """Add tags to a run, or remove them."""
    kind = "untag" if remove else "tag"
    _remark(settings, run_id, [(kind, {"tag": each}) for each in tags])


def note(settings: Settings, run_id: str, text: str) -> None:
    """Add a note to a run."""
    _remark(settings, run_id, [("note", {"text": text})])


def _remark(settings: Settings, run_id: str, remarks: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    parent = trace.set_span_in_context(NonRecordingSpan(derived_span_context(run_id, None)))
    with appending(settings, "a remark on a run") as provider:
        for kind, details in remarks:
            attributes = action_attributes(kind, details, None, Place(run_id))
            provider.get_tracer(SCOPE).start_span(f"action {kind}", parent, attributes=attributes).end()
