"""How ``watch`` shows a running search: a screen of lines, or a line per change.

In: the result of a look, and the space available. Out: texts that fit; the functions are pure. Promise: no stored text takes effect as a
control sequence or as markup; the screen never has more, or wider, lines than fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from rich.text import Text

from genesis_otel._cli.columns import STATUS
from genesis_otel._money import dollars, money
from genesis_otel._read.format import ago, counted, duration, number, one_line, plain, visible
from genesis_otel._read.health import QUIET, SILENT
from genesis_otel._read.watch import Look, Row

STALE = 10
"""Seconds after which a look is shown as old, whatever the interval."""
LABEL = 13
SPARKS = "▁▂▃▄▅▆▇█"
LONGEST_SPARKLINE = 40
ASCII = str.maketrans(f"{SPARKS}●·…", "_.,-=+*#*-~")
"""Replacements, one for one, for terminals that cannot show these characters."""
ROWS_OF_A_SECTION = 12

Piece = tuple[str, str]
"""A text and its style."""


class State(NamedTuple):
    """What the screen shows."""

    look: Look
    away: str = ""
    """Why the store does not answer; empty if it does."""
    away_since: datetime | None = None


def screen(state: State, width: int, height: int, now: float, *, ascii_only: bool = False) -> list[Text]:
    """The lines of a screen.

    :param now: on the monotonic clock, like the look's time.
    """
    look = state.look
    lines = [
        *_head(state, width, max(0.0, now - look.at)),
        Text(),
        *_best(look, width),
        *_fact("individuals", _individuals(look), width),
        *_fact("cost", _cost(look), width),
        *_fact("LLM", _llm(look), width),
        *_fact("jobs", _jobs(look), width),
    ]
    lines += _sections(look, height - len(lines))
    for line in lines:
        if ascii_only:
            line.plain = line.plain.translate(ASCII)
        line.no_wrap = True
        line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return lines[:height]


def lines(before: Look | None, look: Look) -> Iterator[str]:
    """A line if something changed since the previous look, and one for each new failure; times in UTC."""
    if before is None or _changing(before) != _changing(look):
        yield "  ".join((plain(datetime.now(timezone.utc).replace(microsecond=0)), *_summary(look)))
    if before is not None:
        known = {_identity(row) for row in before.failures}
        for row in reversed(look.failures):
            if _identity(row) not in known:
                texts = ("failure", *(text for text, _ in _event(row)[1:] if text))
                yield "  ".join((plain(row["timestamp"]), *texts))


def sparkline(values: Sequence[float], width: int) -> str:
    """``values`` as a curve of at most ``width`` characters; if several share a character, it shows the last."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    shown = [values[(place + 1) * len(values) // count - 1] for place in range(count)]
    low, high = min(shown), max(shown)
    # Halved, since the difference of two large floats may overflow.
    span = high / 2 - low / 2
    if not span:
        return SPARKS[len(SPARKS) // 2] * count
    return "".join(SPARKS[round((value / 2 - low / 2) / span * (len(SPARKS) - 1))] for value in shown)


# --- the pieces -------------------------------------------------------------------------------------------------------


def _head(state: State, width: int, age: float) -> Iterator[Text]:
    look = state.look
    status = look.status or "start unknown"
    style = STATUS.get(look.status, "yellow")
    name = Text()
    if look.pulse["task_name"]:
        name.append(one_line(look.pulse["task_name"]), "bold").append("  ")
    name.append(one_line(look.run_id))
    mark = Text(f"● {one_line(status)}", style=style)
    room = max(0, width - mark.cell_len - 2)
    name.truncate(room, overflow="ellipsis", pad=True)
    yield Text.assemble(name, "  ", mark)
    if state.away:
        since = f" since {state.away_since:%H:%M:%S}" if state.away_since else ""
        yield Text(f"The store is away{since}, trying again: {one_line(state.away)}", style="bold red")
    elif age > STALE and not look.ended:
        yield Text(f"This screen is {_lasting(age)} old: the store is slow to answer", style="yellow")
    if look.pulse["error"]:
        yield Text(one_line(look.pulse["error"]), style="bold red")
    yield from _flow(_progress(look, age), width, indent=0)


def _progress(look: Look, age: float) -> Iterator[Piece]:
    pulse = look.pulse
    if pulse["generations"] or pulse["individuals"]:
        yield f"generation {pulse['generation']}", ""
    if pulse["planned"] > 0 and pulse["generations"] <= pulse["planned"]:
        yield f"{pulse['generations']} of {pulse['planned']} done", ""
    if look.ended:
        if pulse["seconds"] is not None:
            yield f"took {duration(pulse['seconds'])}", ""
        yield f"ended {ago(pulse['silent_seconds'] + age)}", "dim"
        return
    if pulse["seconds"] is not None:
        yield _lasting(pulse["seconds"] + age), ""
    silent = pulse["silent_seconds"] + age
    if silent < QUIET:
        yield f"last sign of life {ago(silent)}", "dim"
    else:
        yield f"silent for {_lasting(silent)}: is it still alive?", "bold red" if silent >= SILENT else "yellow"


def _best(look: Look, width: int) -> Iterator[Text]:
    if look.pulse["best_score"] is None:
        yield from _fact("best", [("none yet", "dim")], width)
        return
    curve = [float(row["best_so_far"]) for row in look.best if row["best_so_far"] is not None]
    pulse = look.pulse
    pieces: list[Piece] = [(number(pulse["best_score"]), "bold green")]
    if len(curve) > 1:
        pieces.append((sparkline(curve, min(LONGEST_SPARKLINE, width // 3)), "green"))
    if pulse["improvements"] and look.best:
        gained = -pulse["gained"] if pulse["direction"] == "min" else pulse["gained"]
        pieces.append((f"{gained:+.6g} since generation {look.best[0]['generation']}", ""))
    still = pulse["since_improvement"]
    if still:
        pieces.append((f"{still} without a gain", "yellow" if pulse["stagnant"] else "dim"))
    pieces.append((f"by {one_line(look.pulse['best_individual'])}", "dim"))
    yield from _fact("best", pieces, width)


def _individuals(look: Look) -> Iterator[Piece]:
    pulse = look.pulse
    yield f"{pulse['individuals']:,}", "bold"
    rate = look.per_minute("individuals")
    if rate is not None:
        yield f"{_few(rate)}/min", ""
    failed = pulse["failed_individuals"]
    if failed:
        yield f"{failed:,} failed ({failed / max(1, pulse['individuals']):.0%})", "red"
    if pulse["incorrect_individuals"]:
        yield f"{pulse['incorrect_individuals']:,} incorrect", "yellow"


def _cost(look: Look) -> Iterator[Piece]:
    yield money(look.pulse["cost"], look.pulse["unpriced"]), "bold"
    rate = look.per_minute("cost")
    if rate is not None:
        yield f"{dollars(rate)}/min", ""
        yield f"{dollars(rate * 60)}/h", ""


def _llm(look: Look) -> Iterator[Piece]:
    pulse = look.pulse
    yield counted(pulse["llm_calls"], "call"), "bold"
    rate = look.per_minute("llm_calls")
    if rate is not None and pulse["llm_calls"]:
        yield f"{_few(rate)}/min", ""
    for name in ("p50", "p95"):
        if pulse[name] is not None and math.isfinite(pulse[name]):
            yield f"{name} {_few(pulse[name])} s", ""
    if pulse["failed_llm_calls"]:
        yield f"{pulse['failed_llm_calls']:,} failed", "red"


def _jobs(look: Look) -> Iterator[Piece]:
    pulse = look.pulse
    yield f"{look.jobs[0]['running'] if look.jobs else 0:,} running", "bold"
    yield f"{pulse['completed_jobs']:,} completed", ""
    if pulse["failed_jobs"]:
        yield f"{pulse['failed_jobs']:,} failed", "red"


def _fact(label: str, pieces: Iterable[Piece], width: int) -> Iterator[Text]:
    for place, line in enumerate(_flow(pieces, width, indent=LABEL)):
        head = Text((label if not place else "").ljust(LABEL), style="dim")
        yield Text.assemble(head, line)


def _flow(pieces: Iterable[Piece], width: int, indent: int) -> Iterator[Text]:
    """Pieces side by side, on as many lines as they need."""
    line = Text()
    for content, style in pieces:
        piece = Text(content, style=style)
        if line and indent + line.cell_len + 3 + piece.cell_len > width:
            yield line
            line = Text()
        if line:
            line.append("   ")
        line.append_text(piece)
    yield line


def _sections(look: Look, room: int) -> list[Text]:
    """Jobs, failures and events, sharing the available lines among those that are not empty."""
    waiting = [
        [Text("running jobs", style="bold"), *map(_job, look.jobs)],
        [Text("failures", style="bold red"), *(_columns(_event(row)) for row in look.failures)],
        [
            Text(f"last events{'' if look.ended else ', newest first'}", style="bold"),
            *(_columns(_event(row)) for row in look.events),
        ],
    ]
    sections = [each[: ROWS_OF_A_SECTION + 1] for each in waiting if len(each) > 1]
    # A section is shown only if at least one row fits below its blank line and heading.
    while sections and 3 * len(sections) > room:
        sections.pop()
    given = [2] * len(sections)
    room -= sum(each + 1 for each in given)
    while room > 0 and any(has < len(each) for has, each in zip(given, sections, strict=True)):
        for place, each in enumerate(sections):
            if room > 0 and given[place] < len(each):
                given[place] += 1
                room -= 1
    return [line for has, each in zip(given, sections, strict=True) for line in (Text(), *each[:has])]


def _job(row: Row) -> Text:
    cells: list[Piece] = [
        (("–" if row["seconds"] is None else _lasting(row["seconds"])).rjust(8), ""),
        (one_line(row["job"]), ""),
        (f"gen {row['generation']}", "dim"),
    ]
    if row["individual_id"] and row["individual_id"] != row["job"]:
        cells.append((one_line(row["individual_id"]), "dim"))
    return _columns(cells)


def _event(row: Row) -> list[Piece]:
    at = row["timestamp"]
    return [
        (at.astimezone().strftime("%H:%M:%S"), "dim"),
        (one_line(row["what"]), "red" if row["failed"] else ""),
        ("" if row["generation"] is None else f"gen {row['generation']}", "dim"),
        (one_line(row["individual_id"]), "dim"),
        (one_line(row["told"]), ""),
    ]


def _columns(cells: Iterable[Piece]) -> Text:
    line = Text()
    for content, style in cells:
        if content:
            line.append("  ").append(content, style)
    return line


# --- lines ------------------------------------------------------------------------------------------------------------


def _changing(look: Look) -> tuple[Any, ...]:
    pulse = look.pulse
    counted = (
        "status",
        "generations",
        "individuals",
        "best_score",
        "cost",
        "unpriced",
        "llm_calls",
        "completed_jobs",
        "failed_jobs",
    )
    return (*(pulse[name] for name in counted), tuple(row["job"] for row in look.jobs))


def _summary(look: Look) -> Iterator[str]:
    pulse = look.pulse
    yield visible(look.status or "start unknown")
    yield f"generation {pulse['generation']}"
    yield f"best {number(pulse['best_score']) or 'none'}"
    for label, pieces in (
        ("individuals", _individuals(look)),
        ("cost", _cost(look)),
        ("LLM", _llm(look)),
        ("jobs", _jobs(look)),
    ):
        yield f"{label} {', '.join(text for text, _ in pieces)}"
    if look.ended and pulse["seconds"] is not None:
        yield f"took {duration(pulse['seconds'])}"


def _identity(row: Row) -> tuple[Any, ...]:
    return (row["timestamp"], row["what"], row["individual_id"], row["trace_id"])


def _lasting(seconds: float) -> str:
    return ago(max(0.0, seconds)).removesuffix(" ago")


def _few(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
