"""Keyword arguments: the ones that type checkers and editors know, and what happens to an unknown name.

In: the keyword arguments of a call. Out: those that the called function accepts. On failure: an unknown name, which a type
checker refuses, is dropped with one warning per line of code that passes it; the rest of the call is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from genesis_otel._log import due, logger

if TYPE_CHECKING:
    from genesis_otel._emit.handle import Handle

H = TypeVar("H")


class NoMore(TypedDict):
    """No arguments beyond those that a function names; at run time, others cause a warning."""


class IndividualArguments(TypedDict, total=False):
    """The arguments of an individual when it starts; see :func:`genesis_otel.spans.individual`."""

    parent_id: str
    parents: Iterable[str]
    mutation_type: str
    lineage: bool
    start_time: object


class IndividualOfRun(IndividualArguments, total=False):
    """The same, if the generation is not known yet."""

    generation: Handle | int | None


class CallArguments(TypedDict, total=False):
    """The arguments of an LLM call when it starts; see :func:`genesis_otel.spans.llm_call`."""

    provider: str
    operation: str
    messages: object
    role: str
    metadata: object
    start_time: object


class CallOfGeneration(CallArguments, total=False):
    """The same, for an individual known only by its id."""

    individual_id: str


class CallOfRun(CallOfGeneration, total=False):
    """The same, for a generation known by its number."""

    generation: Handle | int | None


class EvaluationArguments(TypedDict, total=False):
    """The arguments of an evaluation when it starts; see :func:`genesis_otel.spans.evaluation`."""

    details: Mapping[str, object] | None
    metadata: object
    start_time: object


class ActionArguments(TypedDict, total=False):
    """The arguments of an action; see :func:`genesis_otel.spans.action`."""

    time: object


class ActionOfGeneration(ActionArguments, total=False):
    """The same, for an individual known only by its id."""

    individual_id: str


class ActionOfRun(ActionOfGeneration, total=False):
    """The same, for a generation known by its number."""

    generation: Handle | int | None


def within(function: Callable[..., H], *args: object, told: Mapping[str, Any], **here: object) -> H:
    """Call ``function`` with the caller's arguments and with ``here``, which only the handle itself sets."""
    twice = told.keys() & here.keys()
    if twice:
        warn_of(function, twice)
    return function(*args, **{**told, **here})


def warn_of(function: Callable[..., object], names: Iterable[str]) -> None:
    """Warn about arguments that ``function`` does not take, once per calling line."""
    path, line = _caller()
    for name in sorted(names):
        # Asked first: a search makes the same mistake with each individual, and looking for what was meant takes half a millisecond.
        if due(f"argument {function.__qualname__} {name} {path} {line}"):
            logger.warning(
                "%s:%d: %s() takes no argument %r, which was dropped%s",
                path,
                line,
                function.__qualname__,
                name,
                _meant(function, name),
            )


def _meant(function: Callable[..., object], name: str) -> str:
    import difflib
    import inspect

    known = [each for each in inspect.signature(function).parameters if each not in ("self", "extra")]
    meant = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {meant[0]!r}?" if meant and meant[0] != name else ""


def _caller() -> tuple[str, int]:
    """The line of the search that calls this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("genesis_otel."):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
