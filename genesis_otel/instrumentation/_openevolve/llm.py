"""Records OpenEvolve's LLM calls as spans that belong to their individual.

In: OpenEvolve's clients, as it creates them: blocking ones, which 0.4.0 calls in a thread, or async ones. Out: one span per call, with
its individual, generation and run: from the active instrumentation of OpenAI's client, or else from `spans.llm_call`; never from both.
On failure: the call goes on unaffected; what went wrong is logged once, and an exception of the call itself is recorded and propagates.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FunctionType
from typing import Any, Literal, TypeVar

from opentelemetry import context as otel
from opentelemetry.context import Context

from genesis_otel import attributes, spans
from genesis_otel._emit.answer import tokens_of
from genesis_otel._emit.context import place_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._ship.calls.llm_names import charge_of
from genesis_otel.instrumentation import _charged as charges
from genesis_otel.instrumentation._openevolve import other_clients

Recorder = Literal["auto", "genesis", "openai", "none"]
"""Who records the calls of OpenAI's client; ``auto`` finds out, ``none`` leaves it to others."""

H = TypeVar("H", spans.Evaluation, spans.LLMCall)

CARRIED = "genesis_otel_context"
"""Parameter that carries the context into the thread in which OpenEvolve calls the client; it never reaches the client."""


def choose(wanted: Recorder = "auto") -> Recorder:
    """Find out who records the calls of OpenAI's client in this process, and start OpenTelemetry's instrumentation if that
    is to do it. The result ``auto`` means that it is decided for each client when it is created."""
    if wanted == "genesis":
        return wanted
    charges.watch()
    if wanted == "none":
        return wanted
    recorded = _recorded_kinds()
    if any(recorded):
        # If only the blocking clients are wrapped, or only the async ones: decided for each client, as it is created.
        return "none" if all(recorded) else "auto"
    if wanted == "openai" or other_clients.is_told():
        return "openai" if other_clients.begin() and all(_recorded_kinds()) else "genesis"
    other_clients.watch()
    return wanted


def stop() -> None:
    """Stop what `choose` has started."""
    charges.stop()
    other_clients.stop()


def _recorded_kinds() -> tuple[bool, bool]:
    """Whether OpenAI's blocking client is wrapped by somebody, and whether the async one is."""
    from openai import AsyncOpenAI, OpenAI
    from openai.resources.chat.completions import AsyncCompletions, Completions

    return _is_recorded(OpenAI, Completions), _is_recorded(AsyncOpenAI, AsyncCompletions)


def _is_recorded(client: type, calls: type) -> bool:
    """Whether somebody else has wrapped a kind of client: its calls, or the requests beneath them."""
    found = (inspect.getattr_static(calls, "create", None), inspect.getattr_static(client, "request", None))
    return not all(type(each) is FunctionType for each in found)  # a proxy would pass isinstance()


# --- the client's calls -----------------------------------------------------------------------------------------------


class Call:
    """``client.chat.completions.create`` that knows where it belongs, in whichever thread or task it is called."""

    def __init__(
        self, create: Callable[..., Any], recorder: Recorder, operation: str = "chat", *, server: object = ""
    ) -> None:
        self.create = create
        self.recorder = recorder
        self.operation = operation
        self.server = server
        # OpenAI's client and its wrappers set __wrapped__: the function itself is beneath.
        self.is_awaited = inspect.iscoroutinefunction(inspect.unwrap(create))

    def __call__(self, **params: Any) -> Any:
        """The client's own call, in the context passed to it; a coroutine if the client's is one."""
        context = params.pop(CARRIED, None)
        belonging = spans.attached(context) if isinstance(context, Context) else nullcontext()
        return self._awaited(belonging, params) if self.is_awaited else self._blocking(belonging, params)

    def _blocking(self, belonging: AbstractContextManager[None], params: dict[str, Any]) -> Any:
        with belonging, self._recorded(params) as call:
            return self._answered(call, self.create(**params))

    async def _awaited(self, belonging: AbstractContextManager[None], params: dict[str, Any]) -> Any:
        # A timeout of OpenEvolve's cancels this await, and the call's span ends accordingly.
        with belonging, self._recorded(params) as call:
            return self._answered(call, await self.create(**params))

    def _recorded(self, params: dict[str, Any]) -> spans.LLMCall | AbstractContextManager[None]:
        if self.recorder != "genesis":
            return nullcontext()
        asked = params.get("messages", params.get("input"))
        return begun(begin, params.get("model", ""), asked, params, self.operation, server=self.server)

    def _answered(self, call: spans.LLMCall | None, response: Any) -> Any:
        if call is not None:
            try:
                (_record_embedding if self.operation == "embeddings" else _record_response)(call, response)
            except Exception as error:
                pass_on(error)
                warn_once("response", "An answer of the model could not be recorded", exc_info=True)
        return response


def begin(
    model: str,
    messages: object,
    params: dict[str, Any],
    operation: str = "chat",
    provider: str = "openai",
    server: object = "",
) -> spans.LLMCall:
    """Begin a span for a call in the current context."""
    settings = {name: value for name, value in params.items() if name not in ("model", "messages", "input")}
    place = place_of()
    if place.generation is not None:
        settings["generation"] = place.generation
    # OpenEvolve embeds programs only to judge their novelty.
    role = "novelty" if operation == "embeddings" else otel.get_value(attributes.LLM_ROLE)
    return spans.llm_call(
        model,
        provider=provider,
        server=server,
        operation=operation,
        messages=messages,
        role=role if isinstance(role, str) else "mutation",
        metadata=settings,
    )


def begun(begin: Callable[..., H], *args: Any, **kwargs: Any) -> H | AbstractContextManager[None]:
    """The handle that ``begin`` returns; a null context if it raises, which it never should."""
    try:
        return begin(*args, **kwargs)
    except Exception as error:
        pass_on(error)
        warn_once("begin", "A span could not be started and was dropped", exc_info=True)
        return nullcontext()


def _record_response(call: spans.LLMCall, response: Any) -> None:
    if isinstance(response, str):
        # From an endpoint that streams unasked, or a proxy's error page: OpenEvolve accepts neither.
        call.response(response)
        call.fail("the endpoint answered with a text that is not a chat completion")
        return
    # An endpoint that filters what the model wrote may send no choice, and charge for it. OpenEvolve then raises.
    choice = response.choices[0] if response.choices else None
    message = getattr(choice, "message", None)
    usage = response.usage
    charged = charge_of({name: getattr(usage, name, None) for name in ("cost", "is_byok", "cost_details")}) or 0.0
    call.response(
        getattr(message, "content", None) or "",
        getattr(message, "reasoning_content", None) or "",
        model=response.model,
        response_id=response.id,
        finish_reason=getattr(choice, "finish_reason", None) or "",
        **tokens_of(usage),
        # OpenRouter reports its charge; if an endpoint reports 0, or an object, the cost is computed from the tokens.
        cost=charged if charged > 0 else None,
        cost_source=attributes.COST_OPENROUTER,
    )
    if message is None:
        call.fail("the endpoint answered without a message")


def _record_embedding(call: spans.LLMCall, response: Any) -> None:
    call.response(model=response.model, input_tokens=getattr(response.usage, "prompt_tokens", None))


# --- OpenEvolve's clients ---------------------------------------------------------------------------------------------


def carrying(llm: Any, params: dict[str, Any], context: Context, recorder: Recorder) -> dict[str, Any]:
    """``params`` for ``OpenAILLM._call_api`` with the context added; the client is wrapped here so that it takes it out again."""
    try:
        completions = llm.client.chat.completions
        if not isinstance(completions.create, Call):
            completions.create = Call(
                other_clients.beneath(completions.create),
                _recorder_of(llm.client, completions, recorder),
                server=getattr(llm.client, "base_url", ""),
            )
    except Exception as error:
        pass_on(error)
        warn_once("client", "A client's calls are recorded without the individual they belong to", exc_info=True)
        return params
    if otel.get_value(attributes.LLM_ROLE, context) is None:
        context = otel.set_value(attributes.LLM_ROLE, "mutation", context)
    return {**params, CARRIED: context}


def observe_embeddings(embedder: Any, recorder: Recorder) -> None:
    """Record the calls of an ``EmbeddingClient``, which already run in the right context."""
    embeddings = embedder.client.embeddings
    chosen = _recorder_of(embedder.client, embeddings, recorder)
    if chosen == "genesis" and not isinstance(embeddings.create, Call):
        embeddings.create = Call(
            other_clients.beneath(embeddings.create),
            chosen,
            "embeddings",
            server=getattr(embedder.client, "base_url", ""),
        )


def _recorder_of(client: Any, calls: Any, recorder: Recorder) -> Recorder:
    """Who records the calls of a particular client."""
    if recorder != "auto":
        return recorder
    return "none" if _is_recorded(type(client), type(calls)) else "genesis"


def observe_other(llm: Any) -> None:
    """Record the calls of a client that is not OpenAI's: a command line, a person, or the user's own."""
    from openevolve.llm.openai import OpenAILLM  # type: ignore[import-untyped]

    if isinstance(llm, OpenAILLM) and llm.client is not None:
        return
    answer = llm.generate_with_context

    @functools.wraps(answer)
    async def generate_with_context(system_message: str, messages: list[dict[str, str]], **told: Any) -> Any:
        asked = [{"role": "system", "content": system_message}, *messages]
        model = str(getattr(llm, "model", type(llm).__name__))
        with begun(begin, model, asked, told, provider="") as call:
            response = await answer(system_message, messages, **told)
            if call is None:
                return response
            usage = getattr(llm, "last_usage", None)
            counted = usage if isinstance(usage, dict) else {}
            call.response(
                response, input_tokens=counted.get("prompt_tokens"), output_tokens=counted.get("completion_tokens")
            )
            return response

    llm.generate_with_context = generate_with_context
