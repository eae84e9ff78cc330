"""One individual, and what of it is read by people: its program, its scores, the conversations that made it.

In: a client and ids. Out: what the store has of the individual; stored JSON as names, roles and texts, and what is none as it is.
On failure: what ClickHouse raises, and :class:`~genesis_otel._read.client.NotFoundError` for an individual without a row.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read.client import NotFoundError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

WHOLE = 1 << 30
"""Characters of a prompt, and calls of an individual: all of them."""


def individual(client: Client, run_id: str, individual_id: str) -> dict[str, Any]:
    """What is known of an individual, its code and metrics included.

    :raises NotFoundError: it has no row: only its children tell of it.
    """
    asked = {"run_id": run_id, "individual_ids": [individual_id]}
    detail = queries.ask(client, "individuals_in_detail", **asked)
    if not detail:
        raise NotFoundError(f"nothing is recorded of {individual_id} but its children")
    program = queries.ask(client, "individual_programs", **asked)
    rows = queries.ask(client, "parents", run_id=run_id, child_id=individual_id)
    parents = [str(each) for row in rows for each in row["parent_ids"]]
    return {"run_id": run_id, **detail[0], **program[0], "parent_ids": parents}


def calls(client: Client, run_id: str, individual_id: str) -> list[dict[str, Any]]:
    """The calls of models that made an individual, in order, with whole prompts and answers."""
    asked = {"run_id": run_id, "individual_ids": [individual_id], "characters": WHOLE, "calls": WHOLE}
    return queries.ask(client, "individual_prompts", **asked)


def outputs(client: Client, run_id: str, individual_id: str) -> list[dict[str, Any]]:
    """What its evaluations put out (stdout, stderr, traceback, ...), the newest first."""
    asked = {"run_id": run_id, "individual_ids": [individual_id], "characters": WHOLE, "limit": WHOLE}
    return queries.ask(client, "evaluation_output", **asked)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the unified difference of two individuals' programs; none if they are the same."""
    old, new = (str(each["code"]).splitlines() for each in (before, after))
    yield from difflib.unified_diff(old, new, before["individual_id"], after["individual_id"], lineterm="")


def metrics_of(text: str) -> list[tuple[str, Any]]:
    """Names and values of stored metrics."""
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return [("metrics", text)]
    return [(str(name), value) for name, value in told.items()] if isinstance(told, dict) else [("metrics", text)]


def messages_of(text: str) -> list[tuple[str, str]]:
    """Roles and texts of stored messages; what is no list of messages, or was cut, as it is."""
    try:
        told = json.loads(text)
        return [(str(each.get("role", "")), _text(each.get("content", ""))) for each in told]
    except (ValueError, AttributeError, TypeError):
        return [("", text)]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
