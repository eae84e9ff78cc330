"""Genesis' LLM calls and embeddings, as spans of the individual that they are for.

In: Genesis' functions ``query`` and ``get_embedding``, and the OpenAI and Anthropic clients that they call. Out: a span per client call,
failed attempts included, with Genesis' own cost and the client's tokens; none if another instrumentation records the client. On
failure: the call proceeds as if nothing were there; the error is logged once.

An answered call is recorded once Genesis has computed its cost; a failed attempt, when it fails: Genesis retries up to twenty times,
and logs only answered calls.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from genesis_otel import spans
from genesis_otel._emit.context import place_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import number
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._hooks import as_role, role_here

CALLS = (
    ("responses", "create"),
    ("responses", "parse"),
    ("chat.completions", "create"),
    ("messages", "create"),
    ("embeddings", "create"),
)
"""The methods of OpenAI's and Anthropic's clients that Genesis calls."""

NO_SETTINGS = ("model", "messages", "input")


@dataclass
class Asked:
    """A question that Genesis is asking, with the latest attempt to get it answered."""

    logged: dict[str, Any] | None = None
    """What Genesis logged about it."""
    recorded: bool = False
    """Whether another instrumentation records the client's calls."""
    provider: str = ""
    server: object = ""
    began: int = 0
    """0 for a client that is not known, whose call took an unknown time."""
    ended: int = 0
    response: Any = None


asked: ContextVar[Asked | None] = ContextVar("genesis_otel_asked", default=None)


def query(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Genesis' ``query``: one question, and its answer with tokens and cost."""
    question = Asked()
    with as_role(role_here()), _asking(question):
        result = original(*args, **kwargs)
    if question.logged is not None and not question.recorded:
        try:
            _record(question, result)
        except Exception as error:
            pass_on(error)
            warn_once("genesis query", "An LLM call is not recorded", exc_info=True)
    return result


def get_embedding(original: Callable[..., Any], self: Any, code: Any) -> Any:
    """Genesis' ``EmbeddingClient.get_embedding``, which returns an empty vector if it fails."""
    observe(getattr(self, "client", None))
    question = Asked(began=time.time_ns())
    # Genesis embeds programs only to judge their novelty.
    with as_role("novelty"):
        with _asking(question):
            result = original(self, code)
        if isinstance(result, tuple) and len(result) == 2 and result[0] and not question.recorded:
            _record_embedding(question, getattr(self, "model", ""), code, result[1])
    return result


def _record_embedding(question: Asked, model: str, code: object, cost: object) -> None:
    try:
        call = _begin(question, model, "embeddings", code, None)
        usage = getattr(question.response, "usage", None)
        call.response(input_tokens=getattr(usage, "prompt_tokens", None), cost=number(cost, "cost") or None)
        call.end(question.ended or None)
    except Exception as error:
        pass_on(error)
        warn_once("genesis embedding", "An embedding is not recorded", exc_info=True)


@contextmanager
def _asking(question: Asked) -> Iterator[None]:
    token = asked.set(question)
    try:
        yield
    finally:
        asked.reset(token)


def get_client_llm(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Genesis makes a client for each question."""
    made = original(*args, **kwargs)
    observe(made[0] if isinstance(made, tuple) else made)
    return made


def observe(client: Any) -> None:
    """Report a client's calls to the question that they are for."""
    provider = type(client).__module__.partition(".")[0]
    if provider not in ("openai", "anthropic"):
        return  # wrapped by instructor, or Google's
    try:
        for path, name in CALLS:
            owner = client
            for part in path.split("."):
                owner = getattr(owner, part, None)
            create = getattr(owner, name, None)
            if create is not None and not isinstance(create, _Observed):
                setattr(owner, name, _Observed(create, provider, client, path))
    except Exception as error:
        pass_on(error)
        warn_once("genesis client", "The attempts of a client are not recorded", exc_info=True)


class _Observed:
    """A client's method that reports each attempt to the question."""

    def __init__(self, create: Callable[..., Any], provider: str, client: Any, path: str) -> None:
        self._create = create
        self._provider = provider
        self._server = getattr(client, "base_url", "")
        self._operation = "embeddings" if path == "embeddings" else "chat"
        owner = type(getattr(create, "__self__", None))
        # Whoever records a client wraps its methods, or the requests underneath.
        methods = (
            inspect.getattr_static(owner, create.__name__, None),
            inspect.getattr_static(type(client), "request", None),
        )
        self._recorded = not all(type(each) is FunctionType for each in methods)

    def __call__(self, *args: Any, **params: Any) -> Any:
        question = asked.get()
        if question is None:
            return self._create(*args, **params)
        question.recorded, question.provider, question.server = self._recorded, self._provider, self._server
        question.began, question.response = time.time_ns(), None
        try:
            question.response = self._create(*args, **params)
        except BaseException as error:
            if not self._recorded:
                self._failed(question, params, error)
            raise
        question.ended = time.time_ns()
        return question.response

    def _failed(self, question: Asked, params: Mapping[str, Any], failure: BaseException) -> None:
        try:
            settings = {name: value for name, value in params.items() if name not in NO_SETTINGS}
            messages = params.get("messages", params.get("input"))
            call = _begin(question, params.get("model", ""), self._operation, messages, settings)
            call.fail(failure)
            call.end()
        except Exception as error:
            pass_on(error)
            warn_once("genesis attempt", "A failed LLM call is not recorded", exc_info=True)


def _begin(question: Asked, model: str, operation: str, messages: object, settings: object) -> spans.LLMCall:
    place = place_of()
    about = dict(settings) if isinstance(settings, Mapping) else {}
    if place.generation is not None:
        about["generation"] = place.generation
    return spans.llm_call(
        model,
        provider=question.provider,
        server=question.server,
        operation=operation,
        messages=messages,
        role=role_here(),
        metadata=about,
        start_time=question.began,
    )


def _record(question: Asked, result: Any) -> None:
    told = question.logged or {}
    call = _begin(question, told["model"], "chat", None, told.get("metadata"))
    call.prompt(told["messages"], exact=True)
    response = question.response
    usage = getattr(response, "usage", None)
    asked_of = getattr(usage, "prompt_tokens_details", None) or getattr(usage, "input_tokens_details", None)
    answered = getattr(usage, "completion_tokens_details", None) or getattr(usage, "output_tokens_details", None)
    choice = next(iter(getattr(response, "choices", None) or ()), None)
    call.response(
        told["response"],
        reasoning=told.get("thought", ""),
        model=getattr(response, "model", ""),
        response_id=getattr(response, "id", ""),
        finish_reason=getattr(choice, "finish_reason", None) or getattr(response, "stop_reason", None) or "",
        input_tokens=getattr(result, "input_tokens", None),
        output_tokens=getattr(result, "output_tokens", None),
        cached_tokens=getattr(asked_of, "cached_tokens", None),
        cache_write_tokens=getattr(asked_of, "cache_write_tokens", None),
        reasoning_tokens=getattr(answered, "reasoning_tokens", None),
        # Genesis reports 0 for a model without a price: then the tokens decide.
        cost=told.get("cost") or None,
    )
    call.end(question.ended or None)
