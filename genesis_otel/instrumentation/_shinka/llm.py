"""LLM calls and embeddings of ShinkaEvolve, as spans that belong to the current context.

In: the clients that shinka makes, and its own queries around them: a query retries its client, reads the answer and prices it. Out:
one span per client call, failed attempts included, with the answer's tokens and the cost that shinka computed. A client that an
instrumentation already records is left to it; for one that is not an OpenAI client (Gemini, Anthropic before it traced itself, a
command line), a query is one call. On failure: the call proceeds as if nothing were there, and the error is logged once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import time_ns
from types import FunctionType
from typing import Any

from genesis_otel import spans
from genesis_otel._emit.answer import tokens_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._hooks import as_role, role_here

Query = Callable[..., Awaitable[Any]]

PROVIDERS = {
    "azure_openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "local_openai": "openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "headless": "",
}
"""Providers that shinka names differently from OpenTelemetry."""

OPENAI_CLIENTS = ("openai", "azure_openai", "azure", "openrouter", "deepseek", "local_openai", "local")
"""Providers, under shinka's names, whose client is OpenAI's."""

RESOURCES = frozenset({"chat", "completions", "responses", "embeddings"})
CALLS = {"create": "chat", "parse": "chat"}


@dataclass
class Pending:
    """A query of shinka's in progress: its latest call, which waits for its price."""

    provider: str
    call: spans.LLMCall | None = None
    ended: int = 0
    seen: bool = False
    """Whether the calls are recorded one by one, by us or by an instrumentation."""

    def finish(self, cost: float | None = None) -> None:
        """End the waiting call, with the cost that shinka reports; shinka's 0 may mean that it has no price."""
        call, self.call = self.call, None
        if call is not None:
            if cost:
                call.response(cost=cost)
            call.end(end_time=self.ended)


_pending: ContextVar[Pending | None] = ContextVar("genesis_otel_shinka_query", default=None)


def _safely(action: Callable[..., Any], *told: Any, **named: Any) -> Any:
    try:
        return action(*told, **named)
    except Exception as error:
        pass_on(error)
        warn_once("shinka call", "An LLM call could not be recorded", exc_info=True)
        return None


# --- shinka's queries -------------------------------------------------------------------------------------------------


async def query(original: Query, *args: Any, **kwargs: Any) -> Any:
    """``query_async(model_name, msg, system_msg, msg_history, ...)``, whose clients come through `client`."""
    pending, began = Pending(""), time_ns()
    token = _pending.set(pending)
    try:
        result = await original(*args, **kwargs)
    except BaseException as error:
        _safely(pending.finish)
        if not pending.seen:
            _safely(_record_query, pending, began, args, kwargs, None, error)
        raise
    finally:
        _pending.reset(token)
    _safely(pending.finish, getattr(result, "cost", None))
    if not pending.seen:
        _safely(_record_query, pending, began, args, kwargs, result, None)
    return result


def _record_query(
    pending: Pending,
    began: int,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Any,
    error: BaseException | None,
) -> None:
    """Record a query whose client is not seen: one call, from its input and its output."""
    named = dict(zip(("model_name", "msg", "system_msg", "msg_history"), args, strict=False)) | dict(kwargs)
    messages = [{"role": "system", "content": named.get("system_msg", "")}, *named.get("msg_history", ())]
    messages.append({"role": "user", "content": named.get("msg", "")})
    model = str(getattr(result, "model_name", None) or named.get("model_name", ""))
    call = _begin(model, pending.provider, "", messages, _settings(named), "chat", began)
    if error is not None:
        call.fail(error)
    else:
        thinking = result.thinking_tokens or 0
        call.response(
            result.content,
            result.thought or "",
            input_tokens=result.input_tokens,
            output_tokens=(result.output_tokens or 0) + thinking,
            reasoning_tokens=thinking,
            cost=result.cost or None,
        )
    call.end()


async def embed(original: Query, embedder: Any, code: Any) -> Any:
    """``AsyncEmbeddingClient.embed_async``, which returns the embedding and its cost, and swallows what its client raises."""
    pending, began = Pending(str(embedder.provider)), time_ns()
    token = _pending.set(pending)
    try:
        with as_role("novelty"):  # an instrumentation of the client records its call by that
            result = await original(embedder, code)
    finally:
        _pending.reset(token)
    _safely(pending.finish, result[1])
    if not pending.seen:
        _safely(_record_embedding, pending, began, embedder, code, result)
    return result


def _record_embedding(pending: Pending, began: int, embedder: Any, code: Any, result: Any) -> None:
    call = _begin(str(embedder.model), pending.provider, "", code, {}, "embeddings", began)
    if len(result[0]) == 0:
        call.fail("shinka got no embedding")
    else:
        call.response(cost=result[1] or None)
    call.end()


# --- clients ----------------------------------------------------------------------------------------------------------


def client(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``get_async_client_llm``, which returns client, model and provider, with the client observed."""
    made, model, provider = original(*args, **kwargs)
    return _safely(_observed, made, provider) or made, model, provider


def embedding_client(embedder: Any) -> None:
    """Observe the client of an ``AsyncEmbeddingClient``."""
    embedder.async_client = _observed(embedder.async_client, str(embedder.provider))


def _observed(made: Any, provider: str) -> Any:
    pending = _pending.get()
    if pending is not None:
        pending.provider = provider
        pending.seen = _traces_itself(provider)
    return Observed(made, made, provider) if provider in OPENAI_CLIENTS else made


def _traces_itself(provider: str) -> bool:
    """Whether a provider's client makes spans by itself, or an instrumentation of it is active."""
    try:
        if provider in ("anthropic", "bedrock"):
            return int(version("anthropic").split(".")[0]) >= 2
        if provider == "google":
            models = import_module("google.genai.models").Models
            return _is_wrapped(models, "generate_content")
    except (PackageNotFoundError, ImportError):
        pass
    return False


def _is_wrapped(owner: type, name: str) -> bool:
    """Whether somebody has wrapped a method: the wrapper may pass for an instance, but it is not a function."""
    return type(inspect.getattr_static(owner, name, None)) is not FunctionType


class Observed:
    """An OpenAI client, or a part of one, whose calls are recorded; everything else is passed through."""

    def __init__(self, part: Any, whole: Any, provider: str, operation: str = "chat") -> None:
        self._part = part
        self._whole = whole
        self._provider = provider
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name in RESOURCES:
            return Observed(found, self._whole, self._provider, "embeddings" if name == "embeddings" else "chat")
        if name in CALLS:
            return functools.partial(self._call, name, found)
        return found

    async def _call(self, name: str, call: Query, **params: Any) -> Any:
        pending = _pending.get()
        if pending is not None:
            pending.seen = True
        if _is_wrapped(type(self._part), name) or _is_wrapped(type(self._whole), "request"):
            return await call(**params)  # an instrumentation records it
        span: spans.LLMCall | None = _safely(self._begin, params)
        try:
            response = await call(**params)
        except BaseException as error:
            if span is not None:
                span.fail(error)
                span.end()
            raise
        if span is not None:
            _safely(_tell, span, response)
            if pending is None:
                span.end()
            else:
                pending.finish()
                pending.call, pending.ended = span, time_ns()
        return response

    def _begin(self, params: Mapping[str, Any]) -> spans.LLMCall:
        asked = params.get("messages", params.get("input"))
        server = getattr(self._whole, "base_url", "")
        settings = _settings(params)
        return _begin(str(params.get("model", "")), self._provider, server, asked, settings, self._operation)


def _settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a call's parameters that are neither prompt nor model."""
    left_out = ("model", "model_name", "messages", "input", "msg", "system_msg", "msg_history", "output_model")
    return {name: value for name, value in params.items() if name not in left_out and value is not None}


def _begin(
    model: str,
    provider: str,
    server: object,
    messages: object,
    settings: Mapping[str, Any],
    operation: str,
    began: int | None = None,
) -> spans.LLMCall:
    return spans.llm_call(
        model,
        provider=PROVIDERS.get(provider, provider),
        server=server,
        operation=operation,
        messages=messages,
        # shinka embeds programs to judge their novelty.
        role="novelty" if operation == "embeddings" else role_here(),
        metadata=settings,
        start_time=began,
    )


def _tell(call: spans.LLMCall, response: Any) -> None:
    """Record what OpenAI's answers say: chat completions, responses and embeddings."""
    text, reasoning, reason = _said(response)
    call.response(
        text,
        reasoning,
        model=getattr(response, "model", None) or "",
        response_id=getattr(response, "id", None) or "",
        finish_reason=reason,
        **tokens_of(getattr(response, "usage", None)),
    )


def _said(response: Any) -> tuple[str, str, str]:
    """An answer's text, its reasoning, and why it ended."""
    if choices := getattr(response, "choices", None):
        message = choices[0].message
        reasoning = getattr(message, "reasoning_content", None) or ""
        return message.content or "", reasoning, choices[0].finish_reason or ""
    texts: list[str] = []
    thoughts: list[str] = []
    for item in getattr(response, "output", None) or ():
        texts += [part.text for part in getattr(item, "content", None) or () if getattr(part, "text", None)]
        thoughts += [part.text for part in getattr(item, "summary", None) or () if getattr(part, "text", None)]
    cut = getattr(getattr(response, "incomplete_details", None), "reason", None)
    return "\n".join(texts), "\n".join(thoughts), cut or ("stop" if texts else "")
