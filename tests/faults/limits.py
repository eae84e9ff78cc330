"""How far it goes: a burst, a huge prompt, a run of 100,000 individuals, and a steady search, each with an embedded store of its own.

    python -m tests.faults.limits                 all four; the steady one for 10 minutes
    python -m tests.faults.limits steady --minutes 4

In: which, and for how long. Out: what each took, one figure a line, on standard output. On failure: exit code 1 where something is
missing in the store, or the memory of a steady search is not flat.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from clickhouse_connect.driver.client import Client
from opentelemetry import trace

import genesis_otel
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._ship.spool.status import status
from genesis_otel.configuration import Telemetry
from genesis_otel.spans import Generation

CODE = "def solve(x):\n    return [each * 2 for each in x]\n" * 40
PROMPT = "Improve this program. It has to stay correct.\n" * 90
FLAT = 1.15
"""A steady search has flat memory when its second half takes at most this many times what its first half took, in the median: merges
of the engine come and go."""
MIB = 1 << 20


def say(what: str, value: float | str) -> None:
    """Print one measurement."""
    print(f"  {what:52} {value if isinstance(value, str) else f'{value:12,.1f}'}", flush=True)


def memory(pid: int | None = None) -> float:
    """Resident memory of a process in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / MIB


def evaluated(generation: Generation, prompt: str = PROMPT) -> None:
    """An individual as in a search: one call, one evaluation, scores."""
    with generation.individual() as individual:
        with individual.llm_call("gpt-4o", messages=prompt) as call:
            call.response(CODE, input_tokens=900, output_tokens=450)
        with individual.evaluation() as evaluation:
            evaluation.result(correct=True, combined_score=1.0)
        individual.record(fitness=1.0, metrics={"time": 1.0, "size": 2.0}, code=CODE)


def stored(store: Path, table: str, expected: int, seconds: float = 1800) -> float:
    """Wait until a table has this many rows, and return the seconds that it took; the store process resumes where it
    was.

    :raises SystemExit: they did not arrive.
    """
    began = time.monotonic()
    while status(store / store_folder.SPOOL).waiting and time.monotonic() - began < seconds:
        store_process.ensure_store_process(store)
        time.sleep(0.2)
    took = time.monotonic() - began
    found = ask(store, f"SELECT count() FROM {table}")
    if found != expected:
        raise SystemExit(f"{table} has {found:,} rows, and {expected:,} were expected")
    say(f"rows in {table}", f"{found:12,}")
    return took


def ask(store: Path, sql: str) -> int:
    """A number from the store."""
    with contextlib.closing(store_process.open_store(store)) as client:
        return number(client, sql)


def number(client: Client, sql: str) -> int:
    """The result of ``sql``."""
    return int(str(client.command(sql)))


def of_the_store(store: Path) -> float:
    """MiB of the store process; 0 while none runs."""
    address = store_process.running(store)
    return memory(address.pid) if address is not None else 0.0


def burst(store: Path, telemetry: Telemetry, minutes: float) -> None:
    """100,000 spans as fast as they end, from four threads."""
    tracer, before = trace.get_tracer("limits"), memory()

    def end() -> None:
        for _ in range(25_000):
            tracer.start_span("span", attributes={"x": "y" * 200}).end()

    threads = [threading.Thread(target=end) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    say("seconds until 100,000 end() had returned", took)
    say("microseconds a span", took * 10)
    say("MiB more in the search", memory() - before)
    waits = stored(store, "otel_traces WHERE SpanName = 'span'", 100_000)
    say("seconds more until all were stored", waits)


def prompt(store: Path, telemetry: Telemetry, minutes: float) -> None:
    """A prompt of 100 MB: what exceeds 16 MiB is cut, marked and counted."""
    text = ("def f(x): return x + 1  # a line of a program\n" * 2_300_000)[:100_000_000]
    before = memory()
    with genesis_otel.run("limits") as run, run.generation(1) as generation:
        began = time.monotonic()
        evaluated(generation, text)
        say("seconds for the individual with the call", time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("MiB more in the search at most, beside the text", peak - before)
    stored(store, "llm_logs", 1)
    say("bytes of the messages that are stored", f"{ask(store, 'SELECT max(length(messages)) FROM llm_logs'):12,}")
    left_out = ask(store, "SELECT countIf(mapContains(SpanAttributes, 'genesis.left_out')) FROM otel_traces")
    say("spans that say how much was left out", f"{left_out:12,}")


def individuals(store: Path, telemetry: Telemetry, minutes: float) -> None:
    """100,000 individuals in one run, a thousand per generation, as fast as they end."""
    began, halves = time.monotonic(), []
    with genesis_otel.run("limits") as run:
        for number_of in range(100):
            with run.generation(number_of) as generation:
                for _ in range(1_000):
                    evaluated(generation)
            if number_of in (49, 99):
                halves.append((time.monotonic() - began, memory()))
    (half, memory_half), (whole, memory_whole) = halves
    say("milliseconds an individual, the first 50,000", half / 50)
    say("milliseconds an individual, the last 50,000", (whole - half) / 50)
    say("MiB of the search behind 50,000", memory_half)
    say("MiB of the search behind 100,000", memory_whole)
    spool = status(store / store_folder.SPOOL)
    say("spans that wait in the spool then", f"{spool.waiting:12,}")
    say("MiB of the spool then", spool.bytes / MIB)
    took = stored(store, "individuals", 100_000)
    say("seconds more until all were stored", took)
    say("MiB of the store process", of_the_store(store))
    say("rows in llm_logs", f"{ask(store, 'SELECT count() FROM llm_logs'):12,}")
    say("spans counted as lost", f"{status(store / store_folder.SPOOL).dropped:12,}")


def steady(store: Path, telemetry: Telemetry, minutes: float) -> None:
    """A thousand individuals per minute, fifty per generation; the memory of search and store process every 15 s."""
    began, done = time.monotonic(), 0
    search: list[float] = []
    serving: list[float] = []
    with genesis_otel.run("limits") as run:
        while (now := time.monotonic() - began) < minutes * 60:
            with run.generation(done // 50) as generation:
                for _ in range(50):
                    evaluated(generation)
                    done += 1
                    time.sleep(max(0.0, began + done * 0.06 - time.monotonic()))
            if now >= 15 * (len(search) + 1):
                search.append(memory())
                serving.append(of_the_store(store))
    say("individuals", f"{done:12,}")
    # The first minute is the warm-up: modules, pools, the engine's caches.
    for who, seen in (("search", search[4:]), ("store process", serving[4:])):
        half = len(seen) // 2
        first, second = statistics.median(seen[:half]), statistics.median(seen[half:])
        say(f"MiB of the {who}, median of the first half", first)
        say(f"MiB of the {who}, median of the second half", second)
        say(f"MiB of the {who}, at most", max(seen))
        if second > first * FLAT:
            raise SystemExit(f"the memory of the {who} grows: {[round(each) for each in seen]} MiB")
    stored(store, "individuals", done)


LIMITS: dict[str, Callable[[Path, Telemetry, float], None]] = {
    each.__name__: each for each in (burst, prompt, individuals, steady)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *LIMITS], help="which; all by default")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the steady one; 2 at least")
    given = parser.parse_args()
    if len(given.names) != 1:
        # Each in a separate process, so that memory used by one does not count for the next.
        codes = [
            psutil.Popen([sys.executable, "-m", "tests.faults.limits", name, "--minutes", str(given.minutes)]).wait()
            for name in given.names or LIMITS
        ]
        sys.exit(any(codes))
    (name,) = given.names
    print(f"{name}: {(LIMITS[name].__doc__ or '').strip()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="genesis-otel-limits-") as folder:
        store = Path(folder) / "store"
        telemetry = genesis_otel.configure(
            data_dir=Path(folder) / "data", clickhouse_url=f"chdb://{store}", exit_timeout=600.0
        )
        try:
            LIMITS[name](store, telemetry, given.minutes)
        finally:
            telemetry.shutdown()
            if address := store_process.running(store):
                psutil.Process(address.pid).terminate()
                psutil.Process(address.pid).wait(60)


if __name__ == "__main__":
    main()
