"""Completes spans before they are stored: adds the cost of LLM calls, and removes secrets or all content.

In: ended spans, our own and those of any instrumentation. Out: the same spans to the next processor, LLM calls with
``gen_ai.usage.cost`` and its source, content redacted or removed, secrets gone from everything else too (names, events, links and
the resource), and texts of more than 16 MiB truncated; a span whose duration is unknown begins at its end. The cost is added to the open individual and
generation. On failure: a span is passed on without its cost, and a text that could not be redacted is replaced;
nothing here raises.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from genesis_otel import attributes as names
from genesis_otel._emit.belonging import check
from genesis_otel._emit.context import Place
from genesis_otel._emit.interruption import foreign, pass_on, uninterrupted
from genesis_otel._emit.lasting import LONGEST, lasted
from genesis_otel._emit.opened import only_run
from genesis_otel._emit.tally import account, account_unpriced, is_embedding
from genesis_otel._emit.values import keep
from genesis_otel._log import warn_once
from genesis_otel._ship.calls import charges
from genesis_otel._ship.calls.cost import cost_of
from genesis_otel._ship.calls.llm_names import is_llm_call
from genesis_otel._ship.calls.same_call import OPEN_AT_ONCE, Calls, answer_id_of, id_of, missing
from genesis_otel._ship.cleaning.clean import Changed, Cleaner, bare
from genesis_otel._ship.encoding.attribute_text import Attributes
from genesis_otel._ship.redaction.redact import Redact
from genesis_otel._store.own_prices import OwnPrices
from genesis_otel._store.prices import NO_OWN_PRICES

CALLS_ON_RECORDS = ("gen_ai.", "llm.", "litellm.", "metadata.", "hidden_params")
"""Prefixes of LiteLLM's attribute names."""


class LLMSpanProcessor(SpanProcessor):
    """Precedes another processor, and passes it spans as they should be stored.

    :param next_processor: receives every span.
    :param capture_content: false removes prompts and responses, wherever instrumentations put them.
    :param capture_code: false removes the code of individuals.
    :param capture_output: false removes the output of evaluations.
    :param redact: replaces secrets in content; None leaves texts unchanged;
        :func:`~genesis_otel._ship.redaction.redact.redactor` makes the usual one.
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
        own_prices: OwnPrices = NO_OWN_PRICES,
    ) -> None:
        self._next = next_processor
        self._cleaner = Cleaner(
            capture_content=capture_content,
            capture_code=capture_code,
            capture_output=capture_output,
            redact=redact,
            elsewhere=elsewhere,
        )
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
                keep(self._guessed, id_of(span), run_id, OPEN_AT_ONCE)

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
                self._guessed.pop(id_of(span), None)

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
            return bare(span)

    def as_held(self, span: Span, attributes: Attributes, end_time: int) -> ReadableSpan:
        """A held span as it should be stored if its process died now: ended, with these attributes."""
        return self._complete(Changed(span, {**_plain(span.attributes), **attributes}, None, None, end_time), [])

    def shutdown(self) -> None:
        """Only the next processor's shutdown."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Only the next processor's flush."""
        return self._next.force_flush(timeout_millis)

    def _complete(self, span: ReadableSpan, costs: list[Attributes]) -> ReadableSpan:
        span = _with_start(span)
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
        is_changed = attributes is not told
        if self._cleaner.is_clean(span, attributes):
            return Changed(span, attributes, None, None) if is_changed else span
        return self._cleaner.cleaned(span, attributes, changes, is_changed=is_changed)

    def _call(self, span: ReadableSpan, attributes: Attributes) -> Attributes:
        """What a call's span lacks: what other spans of the same call know, its run, its cost, and whether it counts."""
        changes = missing(attributes, self._calls.inside(span))
        run_id = self._guessed.get(id_of(span), "")
        if run_id and names.RUN_ID not in attributes:
            check("an LLM call", Place(run_id, guessed=True), recording=True)
            changes |= {names.RUN_ID: run_id, names.PLACE: "guessed"}
        known = {**attributes, **changes}
        if names.LLM_COST_SOURCE not in known and (charge := charges.take(answer_id_of(known))):
            changes |= {names.GEN_AI_USAGE_COST: charge, names.LLM_COST_SOURCE: names.COST_OPENROUTER}
            known |= changes
        cost, found = cost_of(span, known, compute=self._prices, own_prices=self._own_prices)
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


def _with_start(span: ReadableSpan) -> ReadableSpan:
    """A span whose start cannot be that of its end (none, after it, or of another clock) as one at the time that is known of it: of no
    duration, which is unknown, rather than of 57 years."""
    began, ended = span.start_time or 0, span.end_time
    if not ended or lasted(began, ended) is not None:
        return span
    are_two_clocks = bool(began) and abs(ended - began) > LONGEST
    if are_two_clocks:
        warn_once(
            "clocks",
            "The start and the end of a span are more than ten years apart, as if of two clocks (a time is nanoseconds since 1970 as an "
            "int, seconds as a float, or a datetime); how long it lasted is recorded as unknown",
        )
    # Of two clocks, the one that is further from 1970 is the one on the wall.
    at = max(began, ended) if are_two_clocks else ended
    return Changed(span, _plain(span.attributes), None, None, at, start_time=at)


def _plain(attributes: Attributes | None) -> dict[str, Any]:
    copy = getattr(attributes, "copy", None)
    copied = copy() if copy is not None else attributes
    return copied if type(copied) is dict else dict(copied or {})


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
