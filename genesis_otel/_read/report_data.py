"""What a report has of a run: the live page's own answers (`page_data`), asked once and kept with the page.

In: a client, a run's id. Out: a dict that JSON knows: all individuals and calls in columns, and of some individuals what they are in
detail; how it looks is ``page/``. What is cut says how much is missing. On failure: what ClickHouse raises; `LookupError` without
such a run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from genesis_otel._read import page_data
from genesis_otel._read.ancestry import chain
from genesis_otel._read.health import STALLED

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TEXT = 20_000
"""Characters of each prompt, answer and thought."""
PROGRAM = 100_000
"""Characters of each program."""
PUT_OUT = 4_000
"""Characters of each text that an evaluation put out, at its end."""
CALLS, OUTPUTS, SPANS = 5, 20, 60
"""Of each individual; of spans the longest."""
FAILED = 5
"""Individuals that failed last, in detail."""
ROOM = 500_000
"""Characters of those in detail, beyond which there are the best alone: a run of 1,000 individuals stays below 1.5 MB."""

SCORES, STATES, ACTIONS, DETAILS = 50_000, 60, 100, 400
"""Scores of examples, those of the newest individuals; states of what chooses models; actions, and characters of their details."""

PIECE = 20
"""Individuals that are asked for at once: their prompts and traces lie in memory whole before they are cut."""

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
    """Ask for everything.

    :param top: individuals whose code and prompts are in it, the best first; of those on the path to the best one, and of those
        that failed last, as many as there is room for.
    :param compare: ids of other runs.
    :param say: told what is being asked, a line each.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    """
    say("individuals and LLM calls")
    answers: dict[str, Any] = {
        "run": page_data.run(client, run_id, stalled_after),
        "run/individuals": page_data.individuals(client, run_id),
        "run/calls": page_data.calls(client, run_id),
        "run/yields": page_data.yields(client, run_id),
        "run/islands": page_data.islands(client, run_id),
        "run/metrics": page_data.metrics(client, run_id),
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
    """The individuals that are kept in detail, and the programs of them and of their parents, each once."""

    individuals: dict[str, dict[str, Any]]
    programs: dict[str, str]

    def add(self, name: str, told: dict[str, Any]) -> int:
        """Keep an individual; returns how many characters that takes."""
        codes = {name: told.pop("code")}
        if told["parent"] is not None:
            codes[told["parent"]["individual_id"]] = told["parent"]["code"]
            told["parent"] = told["parent"]["individual_id"]
        told["calls"] = [_call(each) for each in told["calls"]]
        told["outputs"] = [{**each, "text": _ending(each["text"])} for each in told["outputs"][:OUTPUTS]]
        told["spans_of"], told["spans"] = len(told["spans"]), told["spans"][:SPANS]
        new = {each: _cut(code, PROGRAM) for each, code in codes.items() if each not in self.programs}
        self.individuals[name] = told
        self.programs.update(new)
        return len(json.dumps([told, new]))


def _in_full(client: Client, run_id: str, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Individuals in detail, in this order, asked for piece by piece; of whom only children tell is left out."""
    for begin in range(0, len(names), PIECE):
        piece = names[begin : begin + PIECE]
        found = page_data.in_full(client, run_id, piece, calls=CALLS)
        yield from ((each, found[each]) for each in piece if each in found)


def _best(run: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Those with a score, the best first; of equals the one that finished first."""
    sign = -1 if run["direction"] == "min" else 1
    rows = zip(*(columns.get(name, ()) for name in ("score", "timestamp", "individual_id")), strict=True)
    scored = [(-sign * score, timestamp, each) for score, timestamp, each in rows if score is not None]
    return [each for _, _, each in sorted(scored)]


def _path(answers: Mapping[str, Any], best: Sequence[str]) -> list[str]:
    """From the best one back to its seed."""
    columns = answers["run/individuals"]["columns"]
    parents = dict(zip(columns.get("individual_id", ()), columns.get("parents", ()), strict=True))
    return chain(parents, best[0])[::-1] if best else []


def _failed(answers: Mapping[str, Any]) -> list[str]:
    failures = [each["individual_id"] for each in answers["run/yields"]["failures"]]
    return list(dict.fromkeys(filter(None, failures)))[:FAILED]


def _newest(told: dict[str, Any]) -> dict[str, Any]:
    """The scores by example of as many individuals as there is room for."""
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
    return f"[{missing:,} characters before are not in this file]\n{text[-PUT_OUT:]}" if missing > 0 else text
