"""Shared by the hooks into frameworks: wrapping functions and undoing it, keeping our own errors quiet, a job's environment, a call's role.

In: functions and methods of a framework, by owner and name, in a list that the hooks of each framework keep. Out: the same functions
with a wrapper around them, until it is undone. On failure: a function that a version lacks is skipped and logged once, and what our own
methods raise is logged once and never reaches a search.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import Any, Concatenate, ParamSpec, TypeVar

from opentelemetry import context as otel

from genesis_otel import attributes, spans
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

Original = Callable[..., Any]
Patched = list[tuple[Any, str, Any]]
"""What was patched: owner, name, and the original."""


def wrap(patched: Patched, framework: str, owner: Any, name: str, around: Original) -> None:
    """Have ``around`` called instead of a function, with the function as its first argument.

    :param framework: its name, for the warning if this version has no such function.
    :param owner: its module or class; None if that is missing.
    """
    put(patched, framework, owner, name, functools.partial(_wrapped, around))


def put(patched: Patched, framework: str, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute by what ``make`` returns for the original."""
    original = None if owner is None else getattr(owner, name, None)
    if original is None:
        warn_once(
            f"patch {framework} {name}",
            "This version of %s has no %s: what happens there is not recorded",
            framework,
            name,
        )
        return
    patched.append((owner, name, original))
    setattr(owner, name, make(original))


def is_put(patched: Patched, owner: Any, name: str) -> bool:
    """Whether we have replaced this attribute."""
    return any(known is owner and its == name for known, its, _ in patched)


def undo(patched: Patched) -> None:
    """Restore the originals, last first."""
    while patched:
        owner, name, original = patched.pop()
        setattr(owner, name, original)


def _wrapped(around: Original, original: Original) -> Original:
    # A plain function: proxies cannot be pickled, and frameworks send their functions to other processes.
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    return call


def say_if_newer(package: str, tested: tuple[int, ...]) -> None:
    """Warn once if a package is newer than the newest version that the tests have been run with."""
    installed = version(package)
    if tuple(int(part) for part in installed.split(".")[:3] if part.isdigit()) > tested:
        newest = ".".join(map(str, tested))
        warn_once(f"{package} version", "%s %s is newer than the newest tested version, %s", package, installed, newest)


def quietly(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """Log what a method raises, once, instead of raising it into the search."""

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            pass_on(error)
            name = method.__name__
            warn_once(f"{method.__module__} {name}", "%s of a search is not recorded", name, exc_info=True)
            return None

    return call


@contextmanager
def in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """A block in which this process's environment has these values: jobs started in it inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def as_role(role: str) -> AbstractContextManager[None]:
    """A block whose calls have the role ``role``, whoever records them: the processor of foreign spans reads it, too."""
    return spans.attached(otel.set_value(attributes.LLM_ROLE, role))


def role_here() -> str:
    """The role of calls here: a mutation, unless a block says otherwise."""
    role = otel.get_value(attributes.LLM_ROLE)
    return role if isinstance(role, str) else "mutation"
