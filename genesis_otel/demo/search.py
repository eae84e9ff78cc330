"""The demo: a real search against a model on loopback, recorded, watched while it runs, and summarised.

In: a number of iterations; settings, which say where to record. Out: a run in the store, a live view while it runs, and a
summary. On failure: `DemoError` says what is missing or what went wrong, and what to do about it.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from genesis_otel import queries
from genesis_otel._destinations import open_client
from genesis_otel._fields import Secret
from genesis_otel._log import first_line
from genesis_otel._money import money
from genesis_otel._read.format import counted, number
from genesis_otel._settings import Disabled, Settings, load_settings
from genesis_otel._store.errors import StoreError
from genesis_otel._store.tables import TABLES
from genesis_otel.demo import model as loopback
from genesis_otel.demo.evolve import Order
from genesis_otel.demo.summary import summarise

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = [
    "FRAMEWORKS",
    "DemoError",
    "DemoResult",
    "Glance",
    "UnknownFrameworkError",
    "glance",
    "run_demo",
    "summarise",
]

OPENAI = "https://api.openai.com/v1"
SECOND_MODEL = "gpt-4.1"
"""Asked every fourth question to the model on loopback, so that there are costs to compare."""


SEED = 7
"""Of the framework's random choices: the demo is the same every time."""


class Framework(NamedTuple):
    """A framework that the demo can run."""

    title: str
    package: str
    extra: str
    module: str
    """The module that runs its search, in its own process."""


FRAMEWORKS = {
    "openevolve": Framework("OpenEvolve", "openevolve", "openevolve", "genesis_otel.demo.evolve"),
    "gepa": Framework("GEPA", "gepa", "gepa", "genesis_otel.demo.evolve_gepa"),
    "shinka": Framework("ShinkaEvolve", "shinka", "shinka", "genesis_otel.demo.evolve_shinka"),
}

POLL_INTERVAL = 0.5
PATIENCE = 20.0
"""Seconds that an interrupted search has to end by itself."""


class DemoError(StoreError):
    """What stops the demo, and how to fix it."""


class UnknownFrameworkError(DemoError):
    """There is no demo for this framework."""


@dataclass(frozen=True)
class DemoResult:
    """A finished demo."""

    run_id: str
    iterations: int
    seconds: float
    results: Path
    """The folder with the framework's own files and its log."""


def run_demo(
    *,
    framework: str = "openevolve",
    iterations: int = 40,
    real: bool = False,
    model: str = "gpt-4.1-mini",
    progress: Console | None = None,
    settings: Settings | None = None,
    pace: float = 1.0,
) -> DemoResult:
    """Run a search and record it.

    :param framework: the framework that searches: one of :data:`FRAMEWORKS`.
    :param real: ask the endpoint that ``OPENAI_BASE_URL`` names, OpenAI's by default, with ``OPENAI_API_KEY``.
    :param progress: where to show the progress.
    :param pace: how slow the model on loopback is; 0 answers at once.
    :raises DemoError: something is missing, or the search failed.
    :raises StoreError: the settings do not name a store.
    :raises ValueError: a setting is wrong.
    """
    settings = settings or load_settings()
    of = _framework(framework)
    _check(settings, of, real)
    run_id = f"demo_{time.strftime('%Y%m%d_%H%M%S')}_{uuid.uuid4().hex[:8]}"
    results = settings.data_dir.expanduser().absolute() / "demo" / run_id
    results.mkdir(parents=True)
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        log = opened.enter_context((results / "demo.log").open("wb"))
        url = os.environ.get("OPENAI_BASE_URL", OPENAI) if real else opened.enter_context(loopback.serving(pace))
        order = Order(
            run_id=run_id,
            results=str(results),
            api_base=url,
            models={model: 1.0} if real else {model: 0.75, SECOND_MODEL: 0.25},
            iterations=iterations,
            seed=SEED,
            retries=3 if real else 1,
            retry_delay=5 if real else 0,
            settings=_plain(settings),
        )
        process = opened.enter_context(_started(of, order, log, real=real))
        _watch(
            process,
            f"Run {run_id}: {counted(iterations, 'iteration')} of {of.title}",
            run_id,
            iterations,
            settings,
            progress,
        )
    if process.returncode != 0:
        raise DemoError(f"the search failed: {_last_line(results / 'demo.log')} (its log is {results / 'demo.log'})")
    return DemoResult(run_id, iterations, time.monotonic() - began, results)


def _framework(name: str) -> Framework:
    if name not in FRAMEWORKS:
        raise UnknownFrameworkError(f"there is no demo for {name!r}, only for {', '.join(sorted(FRAMEWORKS))}")
    return FRAMEWORKS[name]


def _check(settings: Settings, of: Framework, real: bool) -> None:
    if importlib.util.find_spec(of.package) is None:
        raise DemoError(
            f"the demo runs {of.title}, which is not installed: pip install 'genesis-otel[embedded,{of.extra}]'"
        )
    if real and not os.environ.get("OPENAI_API_KEY"):
        raise DemoError("--real calls a real model and needs OPENAI_API_KEY; without --real the demo needs no key")
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise DemoError(f"nothing would be recorded: {destination.reason}")


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings in a form that can be passed to `configure` in another process."""

    def plain(value: Any) -> Any:
        if isinstance(value, Secret):
            return value.get_secret_value()
        return str(value) if isinstance(value, Path) else value

    return {name: plain(value) for name, value in settings.arguments().items()}


@contextlib.contextmanager
def _started(of: Framework, order: Order, log: IO[bytes], *, real: bool) -> Iterator["subprocess.Popen[str]"]:
    """The search in its own process: frameworks take over signals and logging, and fork."""
    environment = dict(os.environ)
    if not real:
        environment |= {"OPENAI_API_KEY": "none-needed", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    process = subprocess.Popen(
        [sys.executable, "-m", of.module],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    assert process.stdin is not None  # noqa: S101 (it was asked for)
    try:
        # Through a pipe: the settings may contain a password.
        process.stdin.write(order.to_json())
        process.stdin.close()
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


# --- the live view ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Glance:
    """A run as the store currently has it."""

    iterations: int = 0
    best: float | None = None
    cost: float = 0.0
    unpriced: int = 0
    rows: tuple[int, ...] = (0,) * len(TABLES)


def glance(client: "Client", run_id: str) -> Glance:
    """How far a run has got; empty before the store knows it."""
    rows = tuple(int(row["rows"]) for row in queries.ask(client, "table_rows", run_id=run_id))
    for summary in queries.ask(client, "run_summary", run_id=run_id):
        # Generation 0 is the initial program.
        iterations = max(0, summary["generations"] - 1)
        return Glance(iterations, summary["best_score"], summary["cost"], summary["unpriced"], rows)
    return Glance(rows=rows)


def _watch(
    process: "subprocess.Popen[str]",
    title: str,
    run_id: str,
    iterations: int,
    settings: Settings,
    console: Console | None,
) -> None:
    """Show the progress of the search until it ends."""
    bar = Progress(
        TextColumn("[bold]iteration"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True
    )
    task = bar.add_task("search", total=iterations)
    if console is None or not console.is_terminal:
        if console is not None:
            console.print(title, soft_wrap=True)
        process.wait()
        return
    with contextlib.ExitStack() as opened:
        client: Client | None = None
        live = opened.enter_context(Live(console=console, refresh_per_second=8, transient=True))
        seen = Glance()
        while process.poll() is None:
            try:
                if client is None:
                    client = opened.enter_context(contextlib.closing(open_client(settings, start=True)))
                seen = glance(client, run_id)
            except Exception as error:  # the store may still be starting, and the search does not need it
                said = first_line(error)
                live.update(Group(bar, Text(said, style="dim")))
            else:
                bar.update(task, completed=seen.iterations)
                live.update(Group(bar, _as_table(run_id, seen)))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_INTERVAL)


def _as_table(run_id: str, seen: Glance) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("run", run_id)
    grid.add_row("best fitness", number(seen.best) or "none yet")
    grid.add_row("cost", money(seen.cost, seen.unpriced))
    grid.add_row("rows", ", ".join(f"{table} {count}" for table, count in zip(TABLES, seen.rows, strict=True)))
    return grid
