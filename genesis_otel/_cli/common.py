"""What all commands share: settings, exit codes, and error messages.

In: the options before the command, and whatever a command raises. Out: settings; a line on standard error and an exit code:
1 failed, 2 wrong usage, 3 nothing found, 4 over budget, 130 interrupted. A reader that stops early (``| head``) is not a failure.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, ParamSpec, TypeVar

import typer

from genesis_otel._cli import completion
from genesis_otel._cli.tables import Format, say

if TYPE_CHECKING:
    from genesis_otel._settings import Settings


log = logging.getLogger(__name__)

FAILED, WRONG_USE, NOTHING_FOUND, OVER_BUDGET, INTERRUPTED = 1, 2, 3, 4, 130

EXTRAS = {
    "starlette": "ui",
    "uvicorn": "ui",
    "mcp": "mcp",
    "grafana-client": "grafana",
    "openevolve": "openevolve",
    "gepa": "gepa",
    "shinka": "shinka",
}
"""Optional packages that commands need, and the extra that installs each."""

P = ParamSpec("P")
N = TypeVar("N", int, float)


class Options(NamedTuple):
    """The options given before the command."""

    url: str | None


class WrongUseError(Exception):
    """The arguments are invalid, or do not go together."""


# --- around every command ---------------------------------------------------------------------------------------------


def answering(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an error in a command into a line and an exit code."""

    @functools.wraps(command)
    def answered(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:
            # Nobody reads what is still buffered; without this, Python complains at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except typer.Abort:  # Ctrl-C, or the end of the input, at a question
            say("")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code, text = judged(error)
            log.debug("the command failed", exc_info=True)
            say(f"Error: {text}")
            raise typer.Exit(code) from None

    return answered


def judged(error: Exception) -> tuple[int, str]:
    """The exit code and the message for an error."""
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "a package").partition(".")[0].replace("_", "-")
        extra = EXTRAS.get(missing)
        wanted = f"'genesis-otel[{extra}]'" if extra else missing
        return FAILED, f"{missing} not installed: pip install {wanted}"
    from clickhouse_connect.driver.exceptions import Error

    from genesis_otel._read.client import AmbiguousError, NotFoundError, brief
    from genesis_otel._store.errors import READONLY, StoreError
    from genesis_otel._store.new_file import NewFileError
    from genesis_otel.queries import ParameterError, UnknownQueryError

    if isinstance(error, (NotFoundError, AmbiguousError)):
        return NOTHING_FOUND if isinstance(error, NotFoundError) else WRONG_USE, str(error)
    if isinstance(error, (UnknownQueryError, ParameterError, WrongUseError, NewFileError)):
        return WRONG_USE, str(error.args[0])
    if isinstance(error, Error):
        # Only commands that write get this from a server: for those that read, the client is read-only, whoever the user is.
        can_only_read = "the user of CLICKHOUSE_URL can only read (readonly): use one who may insert and delete"
        return FAILED, can_only_read if error.code == READONLY else brief(error)
    if isinstance(error, (StoreError, ValueError, OSError)):
        return FAILED, str(error)
    return (
        FAILED,
        f"{type(error).__name__}: {error} (a bug in genesis-otel; run `genesis-otel -v ...` for the traceback)",
    )


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """The settings; ``--url`` takes precedence over ``CLICKHOUSE_URL``."""
    from genesis_otel._settings import load_settings

    options: Options = context.obj
    given: dict[str, Any] = {"clickhouse_url": options.url} if options.url else {}
    return load_settings(**given, **overrides)


def file_of(run_id: str, suffix: str) -> Path:
    """The file in this folder that a run is written to unless another one is named."""
    return Path(f"genesis-{re.sub(r'[^A-Za-z0-9._-]+', '_', run_id)[:120]}{suffix}")


def between(kind: type[N], least: float, most: float = math.inf) -> Callable[[Any], N]:
    """A parser of an option's number. Typer's own message is "'x' is not a valid int range"."""
    bounds = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
    message = f"is not a {'whole number' if kind is int else 'number'} {bounds}"

    def parsed(given: Any) -> N:
        try:
            value = kind(given)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise typer.BadParameter(f"{given!r} {message}")
        return value

    return parsed


PortOption = Annotated[
    int, typer.Option(parser=between(int, 0, 65535), metavar="PORT", help="The port; 0 takes a free one.")
]
HostOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="The address to listen on. Beyond this machine it is HTTP without TLS.")
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="By default a table in a terminal, and tab-separated values in a pipe or file."
    ),
]

HOW_A_RUN_IS_NAMED = "Its id, the start of its id, latest, or a task: its newest run."
RunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help=HOW_A_RUN_IS_NAMED, autocompletion=completion.runs)]
GivenRun = Annotated[str, typer.Argument(metavar="RUN", help=HOW_A_RUN_IS_NAMED, autocompletion=completion.runs)]
"""Without a default, for commands that export, mark or delete the run."""
OnlyRun = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="RUN",
        show_default=False,
        help="Only calls of this run: its id, the start of its id, latest, or a task.",
        autocompletion=completion.runs,
    ),
]
IndividualArgument = Annotated[
    str,
    typer.Argument(
        metavar="[INDIVIDUAL]",
        show_default="best",
        help="Its id, the start of its id, or best.",
        autocompletion=completion.individuals,
    ),
]
