"""What a recorded span costs the thread that records it: this package against the SDK's own processor and an earlier commit.

Run: python benchmarks/emit.py [--units N] [--rounds N] [--against COMMIT]. Prints µs of the thread's CPU (without other threads' work, which
`ingest.py` and `collector.py` measure); only the ratios mean anything.

Each way records the same in a separate process, round by round:
- *configured*: the package's own calls (`individual()` with 3 kB of code, `llm_call()` with prompts of 5 and 50 kB, `evaluation()`), and
  others' spans (traceloop's, OpenInference's, one with a prompt of 10 MB), as ``configure()`` sets it up: on disk when end() returns, priced
  and redacted. The destination does not answer, so spans stay in the spool.
- *earlier*: the same by an earlier commit.
- *SDK*: the same attributes on spans of the bare SDK, with ``BatchSpanProcessor`` and OTLP to a closed port: in memory when end() returns,
  unpriced and unredacted. What our calls compute (a hash of the code, JSON of messages, scores as events) is precomputed for the SDK.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.trace import Tracer
from rounds import REFERENCE, ROOT, Limit, environment, in_turn, middle, python, ratio, table, tree_of, verdict
from sender import provider_of
from shapes import ANSWER, CODE, HUGE, PROMPTS, call, individual, job, openinference, text, traceloop

from genesis_otel.attributes import EVENT_EVALUATION_RESULT, GEN_AI_EVALUATION_NAME, GEN_AI_EVALUATION_SCORE_VALUE

WARM_UP = 20
"""Spans of each kind recorded before the clock starts, to fill caches."""
RARE = 50
"""Spans of other kinds for each one with 10 MB."""
OURS = ("individual, 3 kB of code", "call, prompt of 5 kB", "call, prompt of 50 kB", "evaluation")
FOREIGN = ("traceloop's call, 5 kB", "OpenInference's call, 5 kB", "call of another, 10 MB")
CALL = 2 / 3
"""Maximum ratio to the earlier commit for a call with a prompt of 5 kB: a third less."""
INDIVIDUAL, EVALUATION = 1.3, 1.4
"""The same for an individual and for an evaluation, which is two spans. They do what they did not at 004817d, among it (µs of CPU, of 125
and 75 then, with nothing else in between): an individual is noted for a process that resumes the run (13), becomes a row, which the drain
need not convert (7), and may be ended by a signal handler (5); an evaluation is searched for secrets in all its texts rather than in its
details alone (14), and its spans become rows and may be ended by a signal handler (11)."""
BARE = 6.0
"""Maximum ratio of an individual to the bare SDK's span, which is not on disk, and whose hash, JSON and scores were made beforehand."""

NOBODY = "http://genesis:none@127.0.0.1:9/default"
"""A port where nothing listens."""


def kinds(way: str) -> dict[str, Callable[[int], Callable[[], object]]]:
    """For each kind, a factory that takes a number and returns a function that records one span; its texts are prepared in advance."""
    tracer = provider_of(way).get_tracer("benchmark")

    def by_sdk(*made: Any) -> Callable[[], object]:
        return lambda: [tracer.start_span(each.name, kind=each.kind, attributes=each.attributes).end() for each in made]

    others = dict(
        zip(
            FOREIGN,
            (
                lambda number: by_sdk(*traceloop(number)),
                lambda number: by_sdk(*openinference(number)),
                lambda number: by_sdk(call(number, HUGE)),
            ),
            strict=True,
        )
    )
    if way == "plain":
        sdk: tuple[Callable[[int], Callable[[], object]], ...] = (
            lambda number: with_scores(tracer, number),
            lambda number: by_sdk(call(number, PROMPTS[0])),
            lambda number: by_sdk(call(number, PROMPTS[1])),
            lambda number: by_sdk(*job(number)),
        )
        return {**dict(zip(OURS, sdk, strict=True)), **others}

    import genesis_otel

    generation = genesis_otel.run("benchmark").generation(0)

    def evolved(number: int) -> Callable[[], object]:
        code = text(CODE, number)

        def record() -> None:
            made = generation.individual(f"ind_{number}", parent_id=f"ind_{number - 1}", mutation_type="mutate")
            made.record(number / 7, number / 3, {"accuracy": number / 7, "size": number}, code)
            made.end()

        return record

    def called(size: int) -> Callable[[int], Callable[[], object]]:
        def of(number: int) -> Callable[[], object]:
            asked = [
                {"role": "system", "content": "You improve programs."},
                {"role": "user", "content": text(size, number)},
            ]
            answer = text(ANSWER, number)

            def record() -> None:
                made = generation.llm_call("gpt-4o", provider="openai", messages=asked)
                made.response(answer, input_tokens=size // 4, output_tokens=ANSWER // 4, finish_reason="stop")
                made.end()

            return record

        return of

    parent = generation.individual("evaluated")

    def evaluated(number: int) -> Callable[[], object]:
        def record() -> None:
            made = parent.evaluation(f"job_{number}")
            made.result(correct=True)
            made.end()

        return record

    ours = (evolved, called(PROMPTS[0]), called(PROMPTS[1]), evaluated)
    return {**dict(zip(OURS, ours, strict=True)), **others}


def with_scores(tracer: Tracer, number: int) -> Callable[[], object]:
    """An individual's span with its scores as events, recorded with the SDK."""
    made = individual(number, CODE)

    def record() -> None:
        span = tracer.start_span(made.name, kind=made.kind, attributes=made.attributes)
        for name in ("fitness", "combined", "accuracy", "size"):
            span.add_event(
                EVENT_EVALUATION_RESULT, {GEN_AI_EVALUATION_NAME: name, GEN_AI_EVALUATION_SCORE_VALUE: number / 7}
            )
        span.end()

    return record


def record(way: str, units: int) -> dict[str, float]:
    """Microseconds of this thread for one span of each kind; the kinds alternate, as in a search."""
    made = kinds(way)
    used = dict.fromkeys(made, 0.0)
    counts = dict.fromkeys(made, 0)
    for number in range(WARM_UP + units):
        for kind, of in made.items():
            if kind == FOREIGN[2] and number % RARE:
                continue
            one = of(number)
            begun = time.thread_time()
            one()
            if number >= WARM_UP:
                used[kind] += time.thread_time() - begun
                counts[kind] += 1
    return {kind: seconds / max(1, counts[kind]) * 1e6 for kind, seconds in used.items()}


def measure(way: str, tree: Path, units: int) -> dict[str, float]:
    """One round of a way, in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        plain = way == "SDK"
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if plain else {"CLICKHOUSE_URL": NOBODY}
        done = subprocess.run(
            python(__file__, "--way", "plain" if plain else "configured", "--units", str(units)),
            env=environment(tree, GENESIS_OTEL_DATA_DIR=folder, **told),
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=500, help="spans of each kind in a round; of 10 MB a fiftieth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", default=REFERENCE, metavar="COMMIT")
    parser.add_argument("--way", choices=("configured", "plain"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(record(given.way, given.units)), flush=True)
        os._exit(0)  # what waits at exit is not what is measured
    with tree_of(given.against) as earlier:
        found = in_turn(
            ("configured", "earlier", "SDK"),
            given.rounds,
            lambda way: measure(way, earlier if way == "earlier" else ROOT, given.units),
        )
    of = {kind: {way: [each[kind] for each in rounds] for way, rounds in found.items()} for kind in OURS + FOREIGN}
    rows = {
        kind: (
            *(f"{middle(values):,.0f}" for values in ways.values()),
            *(f"{ratio(ways['configured'], ways[other]):.2f}" for other in ("earlier", "SDK")),
        )
        for kind, ways in of.items()
    }
    headings = ("", "configured", given.against, "SDK", f"× {given.against}", "× SDK")
    table(f"µs of the calling thread; medians of {given.rounds} rounds of {given.units}", headings, rows)

    def beside(kind: str, other: str) -> float:
        return ratio(of[kind]["configured"], of[kind][other])

    limits = [
        Limit(f"{OURS[1]}, beside {given.against}", beside(OURS[1], "earlier"), CALL),
        Limit(f"{OURS[0]}, beside the SDK's span", beside(OURS[0], "SDK"), BARE),
    ]
    most = {OURS[0]: INDIVIDUAL, OURS[3]: EVALUATION}
    limits += [
        Limit(f"{kind}, beside {given.against}", beside(kind, "earlier"), most.get(kind, 1.0))
        for kind in OURS + FOREIGN
        if kind != OURS[1]
    ]
    return verdict(limits)


if __name__ == "__main__":
    sys.exit(main())
