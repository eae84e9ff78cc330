"""The alert rules as Grafana reads them, for what a rule fires in a store, and rows by which it does or does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from clickhouse_connect.driver.client import Client

PROVISIONING = Path(__file__).resolve().parents[2] / "grafana" / "provisioning"
TOLD = yaml.safe_load((PROVISIONING / "alerting" / "genesis.yaml").read_text())
RULES = {rule["title"].removeprefix("Genesis: "): rule for group in TOLD["groups"] for rule in group["rules"]}
NAMES = list(RULES)


def threshold(name: str) -> float:
    """The threshold of a rule, from its file."""
    (told,) = (each["evaluator"] for each in RULES[name]["data"][-1]["model"]["conditions"])
    assert told["type"] == "gt"
    return float(told["params"][0])


def fires(store: Client, name: str) -> list[tuple[Any, ...]]:
    """The labels for which a rule fires, by its query and the threshold in its file."""
    result = store.query(RULES[name]["data"][0]["model"]["rawSql"])
    if not result.result_rows:
        return []  # without column names
    numbers = [i for i, kind in enumerate(result.column_types) if kind.name.startswith(("Float", "Nullable(Float"))]
    assert len(numbers) == 1, "Grafana takes one number, and texts as labels"
    (number,) = numbers
    over = [row for row in result.result_rows if row[number] is not None and row[number] > threshold(name)]
    return sorted(tuple(str(value) for i, value in enumerate(row) if i != number) for row in over)


def begun(store: Client, run: str, minutes: float, status: str = "running") -> None:
    """A run that started this many minutes ago, and ended just now unless it is running."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, told_at) SELECT {run:String}, 'task',"
        " now64(3) - {ago:Float64} * 60, if({status:String} = 'running', toDateTime64(0, 3), now64(3)), {status:String}, now64(9)",
        parameters={"run": run, "ago": minutes, "status": status},
    )


def evaluated(store: Client, run: str, scores: list[float], minutes: float = 0.0, cost: float = 0.0) -> None:
    """Individuals with these scores, one per generation, this many minutes ago."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, api_cost) SELECT {run:String},"
        " concat('i', toString(number)), number, addMilliseconds(now64(3) - {ago:Float64} * 60, number), {scores:Array(Float64)}[number + 1], {cost:Float64}"
        " FROM numbers(length({scores:Array(Float64)}))",
        parameters={"run": run, "scores": scores, "ago": minutes, "cost": cost},
    )


def called(
    store: Client, run: str, calls: int, *, failed: int = 0, took: float = 1.0, cost: float = 0.0, minutes: float = 1.0
) -> None:
    """LLM calls, this many minutes ago."""
    store.command(
        "INSERT INTO llm_logs (id, span_id, run_id, model, operation, timestamp, status, execution_time, cost) SELECT generateUUIDv4(), toString(number),"
        " {run:String}, 'm', 'chat', now64(3) - {ago:Float64} * 60, if(number < {failed:UInt32}, 'error', 'ok'), {took:Float64},"
        " {cost:Float64} FROM numbers({calls:UInt32})",
        parameters={"run": run, "calls": calls, "failed": failed, "took": took, "cost": cost, "ago": minutes},
    )
