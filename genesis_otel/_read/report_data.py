"""The data of a report: the live page's own answers (`page_data`), fetched once and stored with the page.

In: a client, a run id. Out: a dict of JSON values: all individuals and calls in columns, and some individuals in detail; ``page/``
decides how they look. A truncated text says how much is missing. On failure: what ClickHouse raises; `LookupError` if there is no such
run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from genesis_otel._read import page_data
from genesis_otel._read.ancestry import chain
from genesis_otel._read.health import STALLED
from genesis_otel._store.portions import portions

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TEXT = 20_000
"""Characters of each prompt, answer and thought."""
PROGRAM = 100_000
"""Characters of each program."""
PUT_OUT = 4_000
"""Characters kept from the end of each output of an evaluation."""
CALLS, OUTPUTS, SPANS = 5, 20, 60
"""Per individual; the longest spans."""
FAILED = 5
"""The most recently failed individuals that are shown in detail."""
ROOM = 500_000
"""Characters of detail beyond which only the best individuals are added: a run of 1,000 individuals stays below 1.5 MB."""

SCORES, STATES, ACTIONS, DETAILS = 50_000, 60, 100, 400
"""Per-example scores, of the newest individuals; states of the model selection; actions, and characters of their details."""

PIECE = 20
"""Individuals per query: their whole prompts and traces are in memory before they are truncated."""

Say = Callable[[str], None]


def gather(
    client: Client,
    run_id: str,
    *,
    top: int,
    compare: Sequence[str] = (),
    say: Say = lambda _: None,
    stalled_after: int = STALLED,
) -> dict[str, Any]:
    """Fetch everything.

    :param top: how many of the best individuals are included with code and prompts; those on the path to the best one, and those that
        failed last, follow as far as there is room.
    :param compare: ids of other runs.
    :param say: called with a line about each thing that is being fetched.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    """
    say("individuals and LLM calls")
    answers: dict[str, Any] = {
        "run": page_data.run(client, run_id, stalled_after),
        "run/individuals": page_data.individuals(client, run_id),
        "run/calls": page_data.calls(client, run_id),
        "run/jobs": page_data.jobs(client, run_id),
        "run/yields": page_data.yields(client, run_id),
        "run/islands": page_data.islands(client, run_id),
        "run/metrics": page_data.metrics(client, run_id),
        "run/vectors": page_data.vectors(client, run_id),
        "run/examples": _newest(page_data.examples(client, run_id)),
        "run/selection": page_data.selection(client, run_id, states=STATES),
        "run/actions": page_data.actions(client, run_id, limit=ACTIONS, characters=DETAILS),
    }
    best = _best(answers["run"], answers["run/individuals"]["columns"])
    say(f"programs and prompts of the best {top}")
    kept = _Kept({}, {})
    room = ROOM
    for name, told in _in_full(client, run_id, best[:top]):
        room -= kept.add(name, told)
    others = [each for each in dict.fromkeys(_path(answers, best) + _failed(answers)) if each not in kept.individuals]
    for name, told in _in_full(client, run_id, others) if top and room > 0 else ():
        room -= kept.add(name, told)
        if room < 0:
            break
    beside = [each for each in dict.fromkeys(compare) if each != run_id]
    return {
        "run": run_id,
        "written": int(time.time() * 1000),
        "answers": answers,
        "individuals": kept.individuals,
        "programs": kept.programs,
        "compared": page_data.compared(client, [run_id, *beside], stalled_after) if beside else [],
    }


class _Kept(NamedTuple):
    """The individuals kept in detail, and their own and their parents' programs, each once."""

    individuals: dict[str, dict[str, Any]]
    programs: dict[str, str]

    def add(self, name: str, told: dict[str, Any]) -> int:
        """Keep an individual; return how many characters it takes."""
        codes = {name: told.pop("code")}
        if told["parent"] is not None:
            codes[told["parent"]["individual_id"]] = told["parent"]["code"]
            told["parent"] = told["parent"]["individual_id"]
        told["calls"] = [_call(each) for each in told["calls"]]
        told["metadata"] = [
            (name, _cut(value, TEXT) if isinstance(value, str) else value) for name, value in told["metadata"]
        ]
        told["outputs"] = [{**each, "text": _ending(each["text"])} for each in told["outputs"][:OUTPUTS]]
        told["spans_of"], told["spans"] = len(told["spans"]), told["spans"][:SPANS]
        new = {each: _cut(code, PROGRAM) for each, code in codes.items() if each not in self.programs}
        self.individuals[name] = told
        self.programs.update(new)
        return len(json.dumps([told, new]))


def _in_full(client: Client, run_id: str, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Individuals in detail, in this order, fetched piece by piece; those known only from their children are left out."""
    for piece in portions(names, PIECE):
        found = page_data.in_full(client, run_id, piece, calls=CALLS)
        yield from ((each, found[each]) for each in piece if each in found)


def _best(run: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """The ids of individuals with a score, best first; ties in the order in which they finished."""
    sign = -1 if run["direction"] == "min" else 1
    rows = zip(*(columns.get(name, ()) for name in ("score", "timestamp", "individual_id")), strict=True)
    scored = [(-sign * score, timestamp, each) for score, timestamp, each in rows if score is not None]
    return [each for _, _, each in sorted(scored)]


def _path(answers: Mapping[str, Any], best: Sequence[str]) -> list[str]:
    """The ids from the best individual back to its seed."""
    columns = answers["run/individuals"]["columns"]
    parents = dict(zip(columns.get("individual_id", ()), columns.get("parents", ()), strict=True))
    return chain(parents, best[0])[::-1] if best else []


def _failed(answers: Mapping[str, Any]) -> list[str]:
    failures = [each["individual_id"] for each in answers["run/yields"]["failures"]]
    return list(dict.fromkeys(filter(None, failures)))[:FAILED]


def _newest(told: dict[str, Any]) -> dict[str, Any]:
    """The per-example scores of as many of the newest individuals as there is room for."""
    columns, room, begin = told["columns"], SCORES, len(told["columns"].get("scores", ()))
    while begin and room >= len(columns["scores"][begin - 1]):
        begin -= 1
        room -= len(columns["scores"][begin])
    return {**told, "columns": {name: values[begin:] for name, values in columns.items()}}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    texts = {name: _cut(call[name], TEXT) for name in ("response", "thought")}
    return {**call, **texts, "messages": [(role, _cut(text, TEXT)) for role, text in call["messages"]]}


def _cut(text: str, length: int) -> str:
    missing = len(text) - length
    return f"{text[:length]}\n[{missing:,} more characters are not in this file]" if missing > 0 else text


def _ending(text: str) -> str:
    missing = len(text) - PUT_OUT
    return f"[{missing:,} earlier characters are not in this file]\n{text[-PUT_OUT:]}" if missing > 0 else text
