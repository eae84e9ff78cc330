"""LLM calls within a GEPA search, as spans that belong where the calls are made.

In: the requests and answers of LiteLLM, on which GEPA's own client is built, and of DSPy; the thread pools in which they run. Out: a
span per call, with tokens, and LiteLLM's cost if it knows one; a call that is already recorded gets no second span. On failure: the
call proceeds as if nothing were there; an exception of the call itself is recorded and propagates.

An attempt that LiteLLM repeats by itself is part of its call; DSPy's attempts are separate calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context

from genesis_otel import attributes, spans
from genesis_otel._emit.answer import tokens_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._ship.calls.llm_names import is_llm_call
from genesis_otel.instrumentation._hooks import Original, role_here

PLACES = "genesis-otel-gepa-places"
"""Key in the OpenTelemetry context of a search: its :class:`Places`."""

SETTINGS = ("temperature", "max_tokens", "max_completion_tokens", "top_p", "n", "seed", "stop", "reasoning_effort")
"""The request parameters that go into a call's metadata."""

PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""Providers that LiteLLM and DSPy name differently from OpenTelemetry."""


@dataclass
class Places:
    """Where the work of a thread pool belongs, by the object that the pool is given."""

    of_messages: dict[int, Context] = field(default_factory=dict)
    """For prompts that are sent at once."""
    of_candidates: dict[int, Context] = field(default_factory=dict)
    """For candidates that are evaluated at once."""
    owners: Callable[[], list[Context]] = list
    """Returns where each of the prompts belongs that GEPA now has for its own client."""

    @contextmanager
    def asking(self, messages: Sequence[object], owners: Sequence[Context]) -> Iterator[None]:
        """A block in which these prompts are sent."""
        self.of_messages = {id(each): owner for each, owner in zip(messages, owners, strict=True)}
        try:
            with belonging(owners[0] if len(owners) == 1 else None):
                yield
        finally:
            self.of_messages = {}


def places() -> Places | None:
    """The places of the search that this thread works for."""
    found = otel.get_value(PLACES)
    return found if isinstance(found, Places) else None


def searching(context: Context) -> Context:
    """A context in which calls are recorded although their search has not started."""
    return otel.set_value(PLACES, Places(), context)


def belonging(context: Context | None) -> AbstractContextManager[None]:
    """A block in a context; with none given, in the current one."""
    return nullcontext() if context is None else spans.attached(context)


class CarryingPool(ThreadPoolExecutor):
    """Python's thread pool, whose tasks run in the OpenTelemetry context of whoever submits them."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in Python's own."""
        return super().submit(partial(_in_context, otel.get_current(), fn), *args, **kwargs)


def _in_context(context: Context, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with spans.attached(context):
        return fn(*args, **kwargs)


def with_candidate(position: int, original: Original, *args: Any, **kwargs: Any) -> Any:
    """Evaluate a candidate, the argument at ``position``, in the context that it belongs to."""
    here = places()
    candidate = args[position] if len(args) > position else kwargs.get("candidate")
    with belonging(None if here is None else here.of_candidates.get(id(candidate))):
        return original(*args, **kwargs)


# --- LiteLLM ----------------------------------------------------------------------------------------------------------


def completion(original: Original, *args: Any, **kwargs: Any) -> Any:
    """``litellm.completion``, recorded."""
    asked = _asked_of_litellm(args, kwargs)
    if asked is None:
        return original(*args, **kwargs)
    context, begin = asked
    with belonging(context), _recorded(begin) as call:
        return _told(call, _tell_completion, original(*args, **kwargs))


async def acompletion(original: Original, *args: Any, **kwargs: Any) -> Any:
    """``litellm.acompletion``, recorded."""
    asked = _asked_of_litellm(args, kwargs)
    if asked is None:
        return await original(*args, **kwargs)
    context, begin = asked
    with belonging(context), _recorded(begin) as call:
        return _told(call, _tell_completion, await original(*args, **kwargs))


Begin = Callable[[], spans.LLMCall]


def _asked_of_litellm(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Context | None, Begin] | None:
    here = places()
    if here is None or kwargs.get("stream") or _is_recorded():
        return None
    model, messages = (*args, None, None)[:2]
    model, messages = kwargs.get("model", model), kwargs.get("messages", messages)
    server = kwargs.get("api_base") or kwargs.get("base_url") or ""

    def begin() -> spans.LLMCall:
        import litellm

        # LiteLLM treats 'gpt-4.1' and 'openai/gpt-4.1' as the same.
        name, provider, *_ = litellm.get_llm_provider(model, kwargs.get("custom_llm_provider"), server or None)
        return _begin(name, provider, messages, server, kwargs)

    return here.of_messages.get(id(messages)), begin


def _tell_completion(call: spans.LLMCall, response: Any) -> None:
    choice, usage = response.choices[0], getattr(response, "usage", None)
    cost = getattr(response, "_hidden_params", {}).get("response_cost")
    call.response(
        choice.message.content or "",
        getattr(choice.message, "reasoning_content", None) or "",
        model=response.model or "",
        response_id=response.id or "",
        finish_reason=choice.finish_reason or "",
        # LiteLLM reports 0 for a model without a price.
        cost=cost if isinstance(cost, float) and cost > 0 else None,
        cost_source=attributes.COST_LITELLM,
        **tokens_of(usage),
    )


# --- DSPy -------------------------------------------------------------------------------------------------------------


def attempt(original: Original, lm: Any, call: Any, *args: Any, **kwargs: Any) -> Any:
    """``dspy.clients.execution._attempt``, recorded; what DSPy has cached never gets here."""
    if places() is None or _is_recorded():
        return original(lm, call, *args, **kwargs)
    with _recorded(partial(_begin_attempt, lm, call)) as recorded:
        original(lm, call, *args, **kwargs)
        return _told(recorded, partial(_tell_attempt, _state(args, kwargs)), None)


async def aattempt(original: Original, lm: Any, call: Any, *args: Any, **kwargs: Any) -> Any:
    """``dspy.clients.execution._aattempt``, recorded."""
    if places() is None or _is_recorded():
        return await original(lm, call, *args, **kwargs)
    with _recorded(partial(_begin_attempt, lm, call)) as recorded:
        await original(lm, call, *args, **kwargs)
        return _told(recorded, partial(_tell_attempt, _state(args, kwargs)), None)


def _begin_attempt(lm: Any, call: Any) -> spans.LLMCall:
    asked = call.legacy
    provider, separator, name = lm.model.partition("/")
    provider, name = (provider, name) if separator else ("", lm.model)
    return _begin(name, provider, asked.get("messages"), asked.get("api_base") or asked.get("base_url") or "", asked)


def _state(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    # _attempt(lm, call, backend, request, provider, state, results)
    return kwargs["state"] if "state" in kwargs else args[3]


def _tell_attempt(state: Any, call: spans.LLMCall, _: object) -> None:
    result, response = state.result, state.response
    first = result.outputs[0] if result.outputs else ""
    call.response(
        first.get("text") or "" if isinstance(first, Mapping) else first,
        first.get("reasoning_content") or "" if isinstance(first, Mapping) else "",
        model=result.response_model or "",
        response_id=getattr(response, "id", None) or "",
        finish_reason=str(getattr(response, "finish_reason", None) or ""),
        **tokens_of(result.usage),
    )


# --- both -------------------------------------------------------------------------------------------------------------


def _is_recorded() -> bool:
    """Whether a call is already being recorded here: by whoever wrapped the client above this one, or by its caller."""
    return is_llm_call(getattr(trace.get_current_span(), "attributes", None) or {})


@contextmanager
def _recorded(begin: Begin) -> Iterator[spans.LLMCall | None]:
    try:
        call = begin()
    except Exception as error:
        pass_on(error)
        warn_once("gepa call", "An LLM call is not recorded", exc_info=True)
        yield None
        return
    with call:
        yield call


def _told(call: spans.LLMCall | None, tell: Callable[[spans.LLMCall, Any], None], response: Any) -> Any:
    if call is not None:
        try:
            tell(call, response)
        except Exception as error:
            pass_on(error)
            warn_once("gepa answer", "The answer of an LLM call could not be recorded", exc_info=True)
    return response


def _begin(model: str, provider: str, messages: object, server: str, asked: Mapping[str, Any]) -> spans.LLMCall:
    return spans.llm_call(
        model,
        provider=PROVIDERS.get(provider, provider),
        server=server,
        messages=messages,
        role=role_here(),
        metadata={key: asked[key] for key in SETTINGS if asked.get(key) is not None} or None,
    )
