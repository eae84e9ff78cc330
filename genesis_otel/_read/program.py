"""One individual's readable data: its program, its scores, the conversations that produced it.

In: a client and ids. Out: the individual's stored data; stored JSON as names, roles and texts, other text unchanged. On failure: what
ClickHouse raises, and :class:`~genesis_otel._read.client.NotFoundError` for a single individual without a row.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read.client import NotFoundError
from genesis_otel._read.format import visible

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

WHOLE = 1 << 30
"""No limit: all characters of a prompt, all calls of an individual."""
MANY_FAILURES = 10_000
"""The newest failures of a run, among which an individual's are looked for."""


def individual(client: Client, run_id: str, individual_id: str) -> dict[str, Any]:
    """Everything known about an individual, including its code and metrics.

    :raises NotFoundError: it has no row: it is known only from its children.
    """
    found = individuals(client, run_id, [individual_id])
    if not found:
        raise NotFoundError(f"{individual_id} is known only as a parent: no row of its own was recorded")
    return found[individual_id]


def individuals(client: Client, run_id: str, individual_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Everything known about individuals, by id; those without a row are left out."""
    asked = {"run_id": run_id, "individual_ids": list(individual_ids)}
    detail = queries.ask(client, "individuals_in_detail", **asked)
    programs = {row["individual_id"]: row for row in queries.ask(client, "individual_programs", **asked)}
    # The parents of the only individual, or of the whole run.
    one = individual_ids[0] if len(individual_ids) == 1 else ""
    rows = queries.ask(client, "parents", run_id=run_id, child_id=one) if detail else []
    parents = {row["child_id"]: [str(each) for each in row["parent_ids"]] for row in rows}
    return {
        row["individual_id"]: {
            "run_id": run_id,
            **row,
            **programs[row["individual_id"]],
            "parent_ids": parents.get(row["individual_id"], []),
        }
        for row in detail
    }


def code_of(individual: Mapping[str, Any]) -> str:
    """The program of an individual.

    :raises NotFoundError: it was not recorded, which is not the same as empty or unchanged.
    """
    code = str(individual["code"])
    if not code:
        raise NotFoundError(
            f"the program of {individual['individual_id']} was not recorded"
            " (the search did not provide it, or GENESIS_OTEL_CAPTURE_CODE was false)"
        )
    return code


def codes(client: Client, run_id: str, individual_ids: Sequence[str]) -> dict[str, str]:
    """The programs of individuals, by id; those without a row are left out."""
    rows = (
        queries.ask(client, "individual_programs", run_id=run_id, individual_ids=list(individual_ids))
        if individual_ids
        else []
    )
    return {row["individual_id"]: row["code"] for row in rows}


def calls(client: Client, run_id: str, *individual_ids: str, most: int = WHOLE) -> list[dict[str, Any]]:
    """The LLM calls that produced individuals, in order, at most ``most`` each, with whole prompts and answers."""
    asked = {"run_id": run_id, "individual_ids": list(individual_ids), "characters": WHOLE, "calls": most}
    return queries.ask(client, "individual_prompts", **asked)


def outputs(client: Client, run_id: str, *individual_ids: str) -> list[dict[str, Any]]:
    """The output of individuals' evaluations (stdout, stderr, traceback, ...), newest first."""
    asked = {"run_id": run_id, "individual_ids": list(individual_ids), "characters": WHOLE, "limit": WHOLE}
    return queries.ask(client, "evaluation_output", **asked)


def failures(client: Client, individual: Mapping[str, Any]) -> list[str]:
    """Why an individual has no score or is not ok: the errors of its evaluations, calls and other actions, newest first."""
    if individual["status"] == "ok" and individual["fitness_score"] is not None:
        return []
    rows = queries.ask(client, "failures", run_id=individual["run_id"], limit=MANY_FAILURES)
    own = (row for row in rows if row["individual_id"] == individual["individual_id"] and row["what"] != "individual")
    return [f"{row['what']}: {row['error'] or 'no error was recorded'}" for row in own]


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the unified diff of two individuals' programs, as `patch` reads it; none if they are equal."""
    # Only at "\n", so that a change of line ends is a change, and no other character ends a line.
    old, new = (str(each["code"]).split("\n") for each in (before, after))
    # A line end in an id would be one of the diff.
    name, other = (visible(str(each["individual_id"])) for each in (before, after))
    for line in difflib.unified_diff(_ended(old), _ended(new), name, other, lineterm=""):
        yield from line.split("\n")


def _ended(lines: list[str]) -> list[str]:
    """A text's lines without the empty one after its last newline, or with the mark of `diff` if there is no last newline."""
    return lines[:-1] if not lines[-1] else [*lines[:-1], f"{lines[-1]}\n\\ No newline at end of file"]


def metrics_of(text: str) -> list[tuple[str, Any]]:
    """Names and values of stored metrics."""
    try:
        parsed = json.loads(text or "{}")
    except ValueError:
        return [("metrics", text)]
    return [(str(name), value) for name, value in parsed.items()] if isinstance(parsed, dict) else [("metrics", text)]


def messages_of(text: str) -> list[tuple[str, str]]:
    """Roles and texts of stored messages; text that is not a list of messages, or was truncated, is returned unchanged."""
    try:
        parsed = json.loads(text)
        return [(str(each.get("role", "")), _text(each.get("content", ""))) for each in parsed]
    except (ValueError, AttributeError, TypeError):
        return [("", text)]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
