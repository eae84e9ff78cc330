"""What a run has left in the store, as the demo shows it at the end.

In: a client of the store and a run id. Out: tables on a console: rows per table, the best individual and its ancestry,
what it cost, how long the model took, and what to look at next. On failure: the store's own exceptions.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genesis_otel import queries
from genesis_otel._money import money
from genesis_otel._read.ancestry import ancestors
from genesis_otel._read.format import counted

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Row = dict[str, Any]


def summarise(client: "Client", run_id: str, console: Console) -> None:
    """Print the summary."""

    def ask(name: str, **parameters: Any) -> list[Row]:
        return queries.ask(client, name, run_id=run_id, **parameters)

    table = _table("What landed", ("table", "rows of this run"), right=(1,))
    for row in ask("table_rows"):
        table.add_row(row["table"], f"{row['rows']:,}")
    _show(table, console)
    for best in ask("top_individuals", limit=1):
        _lineage(client, run_id, best["individual_id"], console)
    _calls(
        ask("llm_costs"), {row["model"]: row for row in ask("llm_latency")}, ask("slowest_llm_calls", limit=1), console
    )
    outcomes = ", ".join(f"{row['count']} {row['action_type']}" for row in ask("actions"))
    console.print(f"Actions: {outcomes}\n", highlight=False)
    _next(run_id, console)


def _lineage(client: "Client", run_id: str, best: str, console: Console) -> None:
    """The best individual's ancestors, starting with the seed."""
    steps = ancestors(client, run_id, best)
    fitness = steps[-1].fitness_score
    told = "unknown" if fitness is None else f"{fitness:.4f}"
    table = _table(
        f"Best individual {best}: fitness {told}, in {counted(len(steps) - 1, 'step')}",
        ("generation", "how", "fitness", "gain", "cost", "what changed", "trace"),
        right=(0, 2, 3, 4),
    )
    for step in steps:
        table.add_row(
            "" if step.generation is None else str(step.generation),
            step.mutation_type,
            "" if step.fitness_score is None else f"{step.fitness_score:.4f}",
            "" if step.gain is None else f"{step.gain:+.4f}",
            money(step.cost, step.unpriced),
            Text(_brief(step.edit_summary)),
            step.trace_id[:8],
        )
    _show(table, console)


def _calls(costs: list[Row], latency: dict[str, Row], slowest: list[Row], console: Console) -> None:
    table = _table(
        f"LLM calls: {money(sum(row['total_cost'] for row in costs), sum(row['unpriced'] for row in costs))} in all",
        ("model", "calls", "failed", "tokens in", "cached", "out", "cost", "p50", "p99"),
        right=range(1, 9),
    )
    for row in costs:
        took = latency[row["model"]]
        counts = (row["calls"], took["failed"], row["input_tokens"], row["cached_tokens"], row["output_tokens"])
        seconds = ("–" if took[quantile] is None else f"{took[quantile]:.2f} s" for quantile in ("p50", "p99"))
        table.add_row(
            row["model"], *(f"{each:,}" for each in counts), money(row["total_cost"], row["unpriced"]), *seconds
        )
    _show(table, console, gap=False)
    for row in slowest:
        console.print(
            f"The slowest call took {row['execution_time']:.2f} s: {row['model']} in generation {row['generation']}, "
            f"trace {row['trace_id']}",
            highlight=False,
            soft_wrap=True,
        )
    console.print()


def _next(run_id: str, console: Console) -> None:
    console.print("[bold]What to run next[/bold]")
    for command in (
        f"genesis-otel ui {run_id}",
        "genesis-otel runs",
        f"genesis-otel best {run_id} --code",
        f"genesis-otel lineage {run_id}",
        "genesis-otel query slowest_llm_calls",
        "genesis-otel query --list",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _brief(summary: str) -> str:
    """An edit's replacement in a few words: its first line."""
    put = summary.partition("\nwith:\n")[2] or summary
    first = put.strip().splitlines()[0].strip().strip('"') if put.strip() else ""
    return first if len(first) <= 60 else first[:59] + "…"


def _table(title: str, columns: Sequence[str], right: Iterable[int]) -> Table:
    """A table in which only texts wrap, never numbers, which stand at the right."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    at_right = set(right)
    for position, name in enumerate(columns):
        if position in at_right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def _show(table: Table, console: Console, *, gap: bool = True) -> None:
    console.print(table)
    if gap:
        console.print()
