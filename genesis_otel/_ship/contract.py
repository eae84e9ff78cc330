"""What delivery and exporters agree on: how a span lies in the spool, how an exporter tells a refusal from an outage, and the
bounds of what it is handed.

In and out: types alone. On failure: :class:`Refused` for content that no retry will mend, :class:`Misconfigured` for what
somebody has to set right, anything else for what may work later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

STATE_INTERVAL = 60.0
"""Seconds between two looks at a spool by those who look at the store."""


class Refused(Exception):  # noqa: N818 - the word for what happened, not for a fault of ours
    """The destination refuses a batch for its content: sending it again is of no use. Raised by an exporter's ``send``."""


class TooLarge(Refused):
    """The destination takes no batch of this size: its halves may go in."""


class Outage(Exception):  # noqa: N818
    """The destination took nothing, for now.

    :param after: seconds for which it asks to be left alone; 0 where it asks for nothing.
    """

    def __init__(self, text: str = "", *, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class Misconfigured(Outage):
    """The destination takes nothing until somebody has set something right: a user, a grant, an address. Nothing is lost."""


class Rejected(NamedTuple):
    """Spans of a batch that the destination took and threw away; it does not say which."""

    spans: int
    reason: str


@runtime_checkable
class Sender(Protocol):
    """An exporter that says how spans lie in a spool on the way to it, tells a refusal from an outage, and takes spans in two
    steps, so that one batch can be prepared while another is under way."""

    def encode(self, span: ReadableSpan) -> bytes:
        """``span`` as a record; called where the span ends."""

    def read(self, record: bytes) -> Any:
        """A record as :meth:`prepare` takes it, whatever its encoding: it may be an earlier version's, or another exporter's.

        :raises ValueError: ``record`` is no span.
        """

    def prepare(self, spans: Sequence[Any]) -> Any:
        """What :meth:`read` gave, as :meth:`send` takes it; called from any thread, and must not wait for anything."""

    def send(self, prepared: Any) -> Rejected | None:
        """Return when the destination has confirmed what was prepared, with what it rejected all the same; raise
        :class:`Refused` for their content, :class:`Misconfigured` or anything else when it may work later."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a spool and of what is handed over at once."""

    max_rows: int = 30_000
    """Spans in a batch: with its views ClickHouse takes 28,000 spans/s at 5,000 a batch, 55,000 at 20,000, 80,000 at 60,000."""
    max_bytes: int = 32 << 20
    """Bytes in a batch, as they are in the spool; a larger span goes alone."""
    spool_bytes: int = 2 << 30
    """Size of a folder's spool at which its oldest spans go."""
    segment_bytes: int = 64 << 20
    """Size of a file of the spool: what goes at once when the spool is over its limit."""
    flush_interval: float = 1.0
    """Seconds between two looks for spans that have ended."""
    backoff: float = 0.5
    """Seconds that the first wait after a failure lasts at most; each next one may be twice as long."""
    backoff_max: float = 60.0
    """Longest wait in seconds. A destination that asks for more is left alone so long, and then asked again."""
    shutdown_timeout: float = 5.0
    """Seconds that the processor's shutdown spends on handing over what waits."""
    state_interval: float | None = None
    """Seconds between two spans that tell the state of the spool (``_spool_state``); None sends none."""
