"""Records model calls as OpenTelemetry GenAI spans.

In: prompt, answer, tokens and cost as a client knows them. Out: a CLIENT span with ``gen_ai.*`` attributes; or, as a decorator, a
function whose every call is a model call.
On failure: as in :mod:`genesis_otel.spans`, whose public functions these are: no exception from here reaches a search.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from genesis_otel import attributes as names
from genesis_otel._emit.answer import told_by, told_by_stream
from genesis_otel._emit.arguments import NoMore, warn_of
from genesis_otel._emit.belonging import check, noted, where
from genesis_otel._emit.context import Place, start
from genesis_otel._emit.decorated import F, decorated
from genesis_otel._emit.handle import Handle, Value, error_type, failed, quietly
from genesis_otel._emit.json_values import json_object
from genesis_otel._emit.lasting import lasted
from genesis_otel._emit.messages import input_messages, output_messages
from genesis_otel._emit.opened import closed
from genesis_otel._emit.values import integer, known_time, known_time_or_now, number, text

if TYPE_CHECKING:
    from typing_extensions import Unpack

ABANDONED = "abandoned"
"""Finish reason of a streamed call whose consumer stopped early; providers do not report one for that."""

# --- LLM calls --------------------------------------------------------------------------------------------------------


class LLMCall(Handle):
    """One call of a model; as a decorator, each call of a function."""

    __slots__ = ("_arguments", "_attributes", "_began", "_finish_reason", "_first_token")

    def __init__(self, span: Span, base: Context, place: Place, attributes: dict[str, Value], began: int) -> None:
        super().__init__(span, base, place)
        self._arguments: Mapping[str, Any] = {}
        self._attributes = attributes
        self._began = began
        self._first_token: int | None = None
        self._finish_reason = ""

    def _restore(self, *told: Any) -> None:
        self._arguments, self._attributes, self._began = {}, {}, 0
        self._first_token, self._finish_reason = None, ""

    def __call__(self, function: F) -> F:
        """Decorate a function: each of its calls is a call of this model."""
        # The call that was begun only to serve as decorator is not emitted.
        closed(self)
        return decorated(function, _Calls(self._arguments))

    @quietly
    def prompt(self, messages: object, *, exact: bool = False, **extra: Unpack[NoMore]) -> None:
        """Record the prompt, if it was not known when the call began.

        :param exact: keep messages that are more than a role and a text unchanged.
        """
        if extra:
            warn_of(LLMCall.prompt, extra)
        if self._span.is_recording():
            self._attributes[names.GEN_AI_INPUT_MESSAGES] = input_messages(messages, exact=exact)

    @quietly
    def first_token(self, time: object = None) -> None:
        """Record that the first token of a stream arrived, now or at ``time``; later calls change nothing."""
        if self._first_token is None:
            came = known_time_or_now(time, "time")
            self._first_token = came
            waited = lasted(self._began, came)
            if waited is not None:
                self._attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = waited / 1e9

    @quietly
    def response(
        self,
        response: object = "",
        reasoning: object = "",
        model: str = "",
        response_id: str = "",
        finish_reason: str = "",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cost: float | None = None,
        cost_source: str = "",
        **extra: Unpack[NoMore],
    ) -> None:
        """Record the answer.

        :param input_tokens: of the whole prompt; ``cached_tokens`` and ``cache_write_tokens`` are parts of it.
        :param output_tokens: of the whole answer; ``reasoning_tokens`` are a part of it.
        :param cost: in USD; by default computed from the tokens.
        :param cost_source: where ``cost`` comes from; by default the caller (``told``).
        """
        if extra:
            warn_of(LLMCall.response, extra)
        if not self._span.is_recording():
            return
        reason = text(finish_reason)
        told: dict[str, Value | None] = {
            names.GEN_AI_OUTPUT_MESSAGES: output_messages(response, reasoning, reason) or None,
            names.GEN_AI_RESPONSE_MODEL: text(model) or None,
            names.GEN_AI_RESPONSE_ID: text(response_id) or None,
        }
        for name, count, called in (
            (names.GEN_AI_USAGE_INPUT_TOKENS, input_tokens, "input_tokens"),
            (names.GEN_AI_USAGE_OUTPUT_TOKENS, output_tokens, "output_tokens"),
            (names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, cached_tokens, "cached_tokens"),
            (names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS, cache_write_tokens, "cache_write_tokens"),
            (names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, reasoning_tokens, "reasoning_tokens"),
        ):
            if count is not None:
                told[name] = integer(count, called)
        if cost is not None:
            told[names.GEN_AI_USAGE_COST] = number(cost, "cost")
            told[names.LLM_COST_SOURCE] = text(cost_source) or None
        self._attributes.update({name: value for name, value in told.items() if value is not None})
        self._finish_reason = reason or self._finish_reason

    def fail(self, error: BaseException | object) -> None:
        """Record that the call failed, with an exception or a text."""
        self._attributes[names.ERROR_TYPE] = error_type(error) if isinstance(error, BaseException) else "_OTHER"
        failed(self._span, error)

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            # The consumer stopped reading the stream.
            self._finish_reason = self._finish_reason or ABANDONED
        super()._raised(error)

    @quietly
    def end(self, end_time: object = None, **extra: Unpack[NoMore]) -> None:
        """End the call."""
        if extra:
            warn_of(LLMCall.end, extra)
        if not self._first():
            return
        reason: dict[str, list[str]] = {}
        if self._finish_reason:
            reason[names.GEN_AI_RESPONSE_FINISH_REASONS] = [self._finish_reason]
        ended = known_time(end_time, "end_time")
        # Of a call whose end is not a time, the start is known.
        self._finish({**reason, **self._attributes}, (self._began or None) if ended == 0 else ended)


@overload
def llm_call(
    model: str,
    *,
    provider: str = "",
    server: object = "",
    operation: str = "chat",
    messages: object = None,
    role: str = "mutation",
    metadata: object = None,
    individual: Handle | None = None,
    generation: Handle | int | None = None,
    run: Handle | None = None,
    run_id: str = "",
    individual_id: str = "",
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> LLMCall: ...


@overload
def llm_call(model: F) -> F: ...


def llm_call(
    model: Any,
    *,
    provider: str = "",
    server: object = "",
    operation: str = "chat",
    messages: object = None,
    role: str = "mutation",
    metadata: object = None,
    individual: Handle | None = None,
    generation: Handle | int | None = None,
    run: Handle | None = None,
    run_id: str = "",
    individual_id: str = "",
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Any:
    """Begin a call of ``model``, for the given individual, generation or run, or for the current one.

    As a decorator, with or without arguments in parentheses, it makes each call of a function such a call. The prompt is the function's
    argument ``messages`` or ``prompt``; without parentheses the model is its argument ``model``, or the one that answers. The answer is
    what it returns, or yields: a text, or what OpenAI's and Anthropic's clients return, with the tokens.

    :param server: URL or host that the call goes to; if it belongs to a known provider, it determines the provider.
    :param operation: ``chat``, ``text_completion``, ``generate_content`` or ``embeddings``.
    :param messages: the prompt: a text, or messages in the form that clients take.
    :param role: what the call is for: ``mutation``, ``novelty``, ``meta``, ``judge``, ...
    :param metadata: context (task, sampling parameters, ...) for ``llm_logs.metadata``.
    :param start_time: when it began, by default now; with 0, or a time of another clock than its end, its duration is unknown.
    """
    if extra:
        warn_of(llm_call, extra)
    belongs = (individual, generation, run, messages, metadata, start_time)
    if callable(model) and all(each is None for each in belongs):
        return decorated(model, _Calls({}))
    base, place = where(individual, generation, run, run_id, individual_id)
    # A start of 0 stays 0, which is none: how long the call took is not known, as the time from now to its end is not that.
    began = known_time_or_now(start_time, "start_time")
    asked: dict[str, Value] = {
        names.GEN_AI_OPERATION_NAME: text(operation) or "chat",
        names.GEN_AI_REQUEST_MODEL: text(model),
        names.LLM_ROLE: text(role),
        **place.attributes(),
    }
    provided = text(provider)
    if provided:
        asked[names.GEN_AI_PROVIDER_NAME] = provided
    host = _host(text(server))
    if host:
        asked[names.SERVER_ADDRESS] = host
    name = f"{asked[names.GEN_AI_OPERATION_NAME]} {asked[names.GEN_AI_REQUEST_MODEL]}"
    span = start(name, base, attributes=asked, kind=SpanKind.CLIENT, start_time=began)
    if span.is_recording():
        if messages is not None:
            asked[names.GEN_AI_INPUT_MESSAGES] = input_messages(messages)
        if metadata is not None or place.guessed:
            asked[names.LLM_METADATA] = json_object(noted(metadata, place))
        if place.guessed:
            check("llm_call", place, recording=True)
    call = LLMCall(span, base, place, asked, began)
    call._arguments = {
        "model": model,
        "provider": provider,
        "server": server,
        "operation": operation,
        "messages": messages,
        "role": role,
        "metadata": metadata,
        "individual": individual,
        "generation": generation,
        "run": run,
        "run_id": run_id,
        "individual_id": individual_id,
    }
    return call


class _Calls:
    """Records the calls of a function as calls of a model."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments

    def begin(self, arguments: Mapping[str, Any]) -> LLMCall:
        told = dict(self._arguments)
        if not told.get("model"):
            told["model"] = text(arguments.get("model") or "")
        if told.get("messages") is None:
            told["messages"] = arguments.get("messages", arguments.get("prompt"))
        begun: LLMCall = llm_call(**told)
        return begun

    def result(self, handle: LLMCall, result: object) -> None:
        self._answered(handle, told_by(result))

    def part(self, handle: LLMCall, part: object) -> None:
        handle.first_token()

    def parts(self, handle: LLMCall, parts: list[object]) -> None:
        self._answered(handle, told_by_stream(parts))

    @staticmethod
    def _answered(handle: LLMCall, told: dict[str, Any]) -> None:
        if not handle._attributes.get(names.GEN_AI_REQUEST_MODEL) and told.get("model"):
            handle._attributes[names.GEN_AI_REQUEST_MODEL] = told["model"]
        handle.response(**told)


def _host(server: str) -> str:
    """The host of a URL, without the user and password that may be in it."""
    if not server:
        return ""
    try:
        return urlsplit(server if "//" in server else f"//{server}").hostname or ""
    except ValueError:
        return ""
