"""Arguments by name: which ones type checkers and editors know of, and what becomes of a name that is none of them.

In: the keyword arguments of a call. Out: those that the called function has. On failure: a name that it does not have, which a
type checker refuses, is left out with one warning for each line that tells it; everything else of the call is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from genesis_otel._emit.values import warn_once

if TYPE_CHECKING:
    from genesis_otel._emit.handle import Handle

H = TypeVar("H")


class NoMore(TypedDict):
    """No argument but those that a function names; at run time others are warned of."""


class IndividualArguments(TypedDict, total=False):
    """What can be told of an individual as it begins; see :func:`genesis_otel.spans.individual`."""

    parent_id: str
    parents: Iterable[str]
    mutation_type: str
    lineage: bool
    start_time: object


class IndividualOfRun(IndividualArguments, total=False):
    """The same, where the generation is not known yet."""

    generation: Handle | int | None


class CallArguments(TypedDict, total=False):
    """What can be told of an LLM call as it begins; see :func:`genesis_otel.spans.llm_call`."""

    provider: str
    operation: str
    messages: object
    role: str
    metadata: object
    start_time: object


class CallOfGeneration(CallArguments, total=False):
    """The same, for an individual that is known by its id alone."""

    individual_id: str


class CallOfRun(CallOfGeneration, total=False):
    """The same, where the generation is known by its number."""

    generation: Handle | int | None


class EvaluationArguments(TypedDict, total=False):
    """What can be told of an evaluation as it begins; see :func:`genesis_otel.spans.evaluation`."""

    details: Mapping[str, object] | None
    metadata: object
    start_time: object


class ActionArguments(TypedDict, total=False):
    """What can be told of an action; see :func:`genesis_otel.spans.action`."""

    time: object


class ActionOfGeneration(ActionArguments, total=False):
    """The same, for an individual that is known by its id alone."""

    individual_id: str


class ActionOfRun(ActionOfGeneration, total=False):
    """The same, where the generation is known by its number."""

    generation: Handle | int | None


def within(function: Callable[..., H], *args: object, told: Mapping[str, Any], **here: object) -> H:
    """Call ``function`` with what was told and ``here``, which a handle says of itself and nobody else."""
    twice = told.keys() & here.keys()
    if twice:
        warn_of(function, twice)
    return function(*args, **{**told, **here})


def warn_of(function: Callable[..., object], names: Iterable[str]) -> None:
    """Warn of arguments that ``function`` does not take, once for each of its callers' lines."""
    import difflib
    import inspect

    path, line = _caller()
    known = [name for name in inspect.signature(function).parameters if name not in ("self", "extra")]
    for name in sorted(names):
        meant = difflib.get_close_matches(name, known, 1)
        warn_once(
            f"argument {function.__qualname__} {name} {path} {line}",
            "%s:%d: %s() takes no argument %r, and it is left out%s",
            path,
            line,
            function.__qualname__,
            name,
            f"; did you mean {meant[0]!r}?" if meant and meant[0] != name else "",
        )


def _caller() -> tuple[str, int]:
    """Where the search calls this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("genesis_otel."):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
