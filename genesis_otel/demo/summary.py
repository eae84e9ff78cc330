"""What a run has left in the store, as the demo shows it at its end.

In: a client on the store and a run's id. Out: tables on a console: rows a table, the best individual and where it
comes from, what it cost, how long the model took, and what to look at next. On failure: the store's own exceptions.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genesis_otel._clickhouse import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

INDIVIDUALS = """
SELECT i.individual_id, i.generation, i.parent_id, i.mutation_type, i.fitness_score, l.fitness_delta, l.edit_summary,
    i.api_cost + i.embed_cost + i.novelty_cost AS cost, i.trace_id
FROM individuals AS i
LEFT JOIN code_lineages AS l ON l.run_id = i.run_id AND l.child_id = i.individual_id
WHERE i.run_id = {run_id:String}
ORDER BY i.fitness_score DESC, i.generation, i.mutation_type = 'migration'
"""

COSTS = """
SELECT model, count(), countIf(status != 'ok'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost),
    quantile(0.5)(execution_time), quantile(0.9)(execution_time), quantile(0.99)(execution_time)
FROM llm_logs
WHERE run_id = {run_id:String}
GROUP BY model
ORDER BY sum(cost) DESC
"""

SLOWEST = """
SELECT execution_time, model, generation, trace_id
FROM llm_logs
WHERE run_id = {run_id:String}
ORDER BY execution_time DESC
LIMIT 1
"""

OUTCOMES = """
SELECT action_type, count()
FROM agent_actions
WHERE run_id = {run_id:String}
GROUP BY action_type
ORDER BY count() DESC, action_type
"""


def summarise(client: "Client", run_id: str, console: Console) -> None:
    """Print it."""

    def ask(sql: str) -> Sequence[Sequence[Any]]:
        return client.query(sql, parameters={"run_id": run_id}).result_rows

    _rows(ask, console)
    _lineage(ask(INDIVIDUALS), console)
    _calls(ask(COSTS), ask(SLOWEST), console)
    outcomes = ask(OUTCOMES)
    console.print("Actions: " + ", ".join(f"{count} {action}" for action, count in outcomes), highlight=False)
    console.print()
    _next(run_id, console)


def _rows(ask: Any, console: Console) -> None:
    table = _table("What landed", ("table", "rows of this run"), right=(1,))
    for name in TABLES:
        count = ask(f"SELECT count() FROM {name} WHERE run_id = {{run_id:String}}")[0][0]  # noqa: S608 (our names)
        table.add_row(name, f"{count:,}")
    _show(table, console)


def _lineage(individuals: Sequence[Sequence[Any]], console: Console) -> None:
    """The best individual's ancestors, first the seed."""
    if not individuals:
        return
    known = {row[0]: row for row in individuals}
    chain = [individuals[0]]
    while (parent := known.get(chain[-1][2])) is not None and parent not in chain:
        chain.append(parent)
    best = individuals[0]
    table = _table(
        f"Best individual {best[0]}: fitness {best[4]:.4f}, in {len(chain) - 1} steps",
        ("generation", "how", "fitness", "gain", "cost", "what changed", "trace"),
        right=(0, 2, 3, 4),
    )
    for _, generation, _, how, fitness, gain, summary, cost, trace_id in reversed(chain):
        gained = f"{gain:+.4f}" if how != "init" else ""
        table.add_row(
            str(generation), how, f"{fitness:.4f}", gained, f"${cost:.4f}", Text(_brief(summary)), trace_id[:8]
        )
    _show(table, console)


def _calls(costs: Sequence[Sequence[Any]], slowest: Sequence[Sequence[Any]], console: Console) -> None:
    table = _table(
        f"LLM calls: ${sum(row[6] for row in costs):.4f} in all",
        ("model", "calls", "failed", "tokens in", "cached", "out", "cost", "p50", "p90", "p99"),
        right=range(1, 10),
    )
    for model, calls, failed, asked, cached, answered, cost, *quantiles in costs:
        counts = (f"{each:,}" for each in (calls, failed, asked, cached, answered))
        table.add_row(model, *counts, f"${cost:.4f}", *(f"{each:.2f} s" for each in quantiles))
    _show(table, console, gap=False)
    for seconds, model, generation, trace_id in slowest:
        console.print(
            f"The slowest call took {seconds:.2f} s: {model} in generation {generation}, trace {trace_id}",
            highlight=False,
            soft_wrap=True,
        )
    console.print()


def _next(run_id: str, console: Console) -> None:
    console.print("[bold]What to run next[/bold]")
    for command in (
        "genesis-otel runs",
        f"genesis-otel lineage {run_id}",
        'genesis-otel query "SELECT * FROM llm_logs ORDER BY execution_time DESC LIMIT 5"',
        "genesis-otel query --help",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _brief(summary: str) -> str:
    """What an edit puts there, in a few words: its first line."""
    put = summary.partition("\nwith:\n")[2] or summary
    first = put.strip().splitlines()[0].strip().strip('"') if put.strip() else ""
    return first if len(first) <= 60 else first[:59] + "…"


def _table(title: str, columns: Sequence[str], right: Iterable[int]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    at_right = set(right)
    for position, name in enumerate(columns):
        table.add_column(name, justify="right" if position in at_right else "left", overflow="fold")
    return table


def _show(table: Table, console: Console, *, gap: bool = True) -> None:
    console.print(table)
    if gap:
        console.print()
