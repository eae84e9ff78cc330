"""The contract between delivery and exporters: how a span is stored in the spool, how an exporter distinguishes a refusal from
an outage, and the limits of what it is given.

In and out: only types. On failure: :class:`Refused` for content that no retry will fix, :class:`Misconfigured` for what
somebody has to correct, anything else for what may work later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

STATE_INTERVAL = 60.0
"""Seconds between reports of the spool's state to readers of the store."""


class Refused(Exception):  # noqa: N818 - names what happened, which is not an error of ours
    """The destination refuses a batch for its content: resending it is useless. Raised by an exporter's ``send``."""


class TooLarge(Refused):
    """The destination does not accept a batch of this size: its halves may be accepted."""


class Outage(Exception):  # noqa: N818
    """The destination accepts nothing at the moment.

    :param after: seconds that it asks to wait before the next attempt; 0 if it does not say.
    """

    def __init__(self, text: str = "", *, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class Misconfigured(Outage):
    """The destination accepts nothing until somebody corrects something: a user, a grant, an address. Nothing is lost."""


class Rejected(NamedTuple):
    """Spans of a batch that the destination accepted and then discarded; it does not say which."""

    spans: int
    reason: str


@runtime_checkable
class Sender(Protocol):
    """An exporter that defines how spans on their way to it are stored in the spool, distinguishes a refusal from an outage, and
    takes spans in two steps, so that one batch can be prepared while another is being sent."""

    def encode(self, span: ReadableSpan) -> bytes:
        """``span`` as a record; called in the thread that ends the span."""

    def read(self, record: bytes) -> Any:
        """A record in the form that :meth:`prepare` takes, whatever its encoding: it may be an earlier version's, or another exporter's.

        :raises ValueError: ``record`` is not a span.
        """

    def prepare(self, spans: Sequence[Any]) -> Any:
        """Convert what :meth:`read` returned into what :meth:`send` takes; called from any thread, and must not block."""

    def send(self, prepared: Any) -> Rejected | None:
        """Return once the destination has confirmed what was prepared, with what it rejected nevertheless; raise
        :class:`Refused` for their content, :class:`Misconfigured` or anything else if it may work later."""


class Limits(NamedTuple):
    """Limits of a spool and of what is delivered at once."""

    max_rows: int = 30_000
    """Spans per batch: with its views ClickHouse takes 28,000 spans/s at 5,000 per batch, 55,000 at 20,000, 80,000 at 60,000."""
    max_bytes: int = 32 << 20
    """Bytes per batch, as stored in the spool; a larger span is sent alone."""
    spool_bytes: int = 2 << 30
    """Size of a folder's spool at which its oldest spans are dropped."""
    segment_bytes: int = 64 << 20
    """Size of a file of the spool: the unit in which spans are dropped when the spool is over its limit."""
    flush_interval: float = 1.0
    """Seconds between checks for ended spans."""
    backoff: float = 0.5
    """Maximum seconds of the first wait after a failure; the maximum doubles with each further one."""
    backoff_max: float = 60.0
    """Longest wait in seconds. If a destination asks for a longer one, it is retried after this time."""
    shutdown_timeout: float = 5.0
    """Seconds that the processor's shutdown spends on delivering what waits."""
    together: bool = False
    """Whether small batches of several queues are sent as one; only for a folder that a single process drains, with a `Sender`."""
    state_interval: float | None = None
    """Seconds between the spans that report the state of the spool (``_spool_state``); None sends none."""
