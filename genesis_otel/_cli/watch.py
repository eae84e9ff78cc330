"""The command ``genesis-otel watch``: arguments and output.

In: a command line. Out: in a terminal a screen that is redrawn, elsewhere a line per change. On failure: a line and an exit code, as
:mod:`genesis_otel._cli.common` defines them; the terminal is restored, also after Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from genesis_otel._cli.common import OVER_BUDGET, RunArgument, WrongUseError, answering, between, settings_of
from genesis_otel._cli.tables import say
from genesis_otel._money import exceeding, exceeds

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console, Group

    from genesis_otel._cli.watch_screen import State
    from genesis_otel._read.watch import Away, Look
    from genesis_otel._settings import Settings

TERMINATED = 128 + signal.SIGTERM


@answering
def watch(
    context: typer.Context,
    run: RunArgument = "latest",
    interval: Annotated[
        float,
        typer.Option(
            "--interval", "-i", parser=between(float, 0.5, 3600), metavar="SECONDS", help="Seconds between two updates."
        ),
    ] = 2.0,
    fail_over_budget: Annotated[
        bool,
        typer.Option("--fail-over-budget", help="Exit with code 4 as soon as the run has cost more than its budget."),
    ] = False,
) -> None:
    """Watch a running search: progress, best score, cost, models, jobs, events and failures.

    In a terminal it redraws the screen; in a pipe or file it writes a line for every change, with times in UTC. It ends when
    the run has ended, successfully or not, or at Ctrl-C. If the store goes away, it tries again.

    Rates and percentiles cover the last 5 minutes, or the whole run if it has ended. A run that was killed stays "running",
    and its header shows how long it has been silent.

    The budget is that of run(budget=...) or else GENESIS_OTEL_BUDGET of this command. The cost excludes calls without a price.

    ```
    genesis-otel watch latest
    genesis-otel watch latest --fail-over-budget || kill "$SEARCH_PID"
    genesis-otel watch run_20240115 --interval 10
    genesis-otel watch latest | tee watched.log
    ```
    """
    from rich.console import Console

    from genesis_otel._read.watch import looks

    console = Console(highlight=False)
    drawn = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
    settings = settings_of(context)
    over: list[str] = []
    with contextlib.closing(looks(settings, run, interval)) as seen, _ended_by_sigterm():
        # An error before the first look is reported as usual, before the screen is taken over.
        first = next(seen)
        every: Iterable[Look | Away] = itertools.chain([first], seen)
        if fail_over_budget:
            _budget(first, settings)
            every = _until_over_budget(every, settings, over)
        if drawn:
            _draw(every, console)
        else:
            _print(every)
    for why in over:
        say(why)
        raise typer.Exit(OVER_BUDGET)


def _budget(seen: Look | Away, settings: Settings) -> float | None:
    """The run's budget; None while the store is away.

    :raises WrongUseError: the run has no budget.
    """
    from genesis_otel._read.watch import Look

    if not isinstance(seen, Look):
        return None
    own = seen.pulse["budget"]
    allowed: float | None = settings.budget if own is None else own
    if allowed is None:
        raise WrongUseError(
            f"{seen.run_id} has no budget: set one with run(budget=...), or set GENESIS_OTEL_BUDGET here"
        )
    return allowed


def _until_over_budget(seen: Iterable[Look | Away], settings: Settings, over: list[str]) -> Iterator[Look | Away]:
    """Pass looks on until the run has cost more than its budget; then add the message to ``over``."""
    from genesis_otel._read.watch import Look

    for each in seen:
        yield each
        allowed = _budget(each, settings)
        if isinstance(each, Look) and allowed is not None and exceeds(each.pulse["cost"], allowed):
            cost, unpriced = each.pulse["cost"], each.pulse["unpriced"]
            over.append(f"{each.run_id} has cost {exceeding(cost, allowed, unpriced)}")
            return


def _draw(seen: Iterable[Look | Away], console: Console) -> None:
    from rich.live import Live

    state: State | None = None

    def shown() -> Group | str:
        return _frame(state, console) if state else ""

    try:
        with Live(get_renderable=shown, console=console, screen=True, refresh_per_second=1) as live:
            for each in seen:
                state = _after(state, each)
                live.refresh()
    finally:
        # The alternate screen is gone: print the last state, so that it stays visible.
        if state:
            console.print(_frame(state, console), crop=False)


def _frame(state: State, console: Console) -> Group:
    from rich.console import Group

    from genesis_otel._cli.watch_screen import screen

    size = console.size
    # Leave the last line free: a terminal that scrolls when it is full would lose the first.
    return Group(
        *screen(state, size.width, max(1, size.height - 1), time.monotonic(), ascii_only=console.options.ascii_only)
    )


def _after(state: State | None, each: Look | Away) -> State | None:
    from genesis_otel._cli.watch_screen import State
    from genesis_otel._read.watch import Look

    if isinstance(each, Look):
        return State(each)
    if state is None:
        return None
    return state._replace(away=each.why, away_since=state.away_since or datetime.now().astimezone())


def _print(seen: Iterable[Look | Away]) -> None:
    from genesis_otel._cli.watch_screen import lines
    from genesis_otel._read.watch import Look

    before: Look | None = None
    away = False
    for each in seen:
        if not isinstance(each, Look):
            if not away:
                say(f"The store is away, trying again: {each.why}")
            away = True
            continue
        if away:
            say("The store answers again.")
        away = False
        if before is None:
            task = each.pulse["task_name"]
            say(f"Watching {each.run_id}{f' ({task})' if task else ''}; press Ctrl-C to end.")
        for line in lines(before, each):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        before = each


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that the terminal's cursor is restored."""

    def terminated(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
