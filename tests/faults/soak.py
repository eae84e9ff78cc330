"""One fault after another for a given time, and the ledger of all of them.

python -m tests.faults.soak --minutes 30 --seed 1

In: the duration and the first seed. Out: the ledger of each fault and the total on standard output. On failure: exit
code 1 at the end, and for each broken promise the fault, its seed and its folder, which is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.scenes import SCENES, Ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    given = parser.parse_args()
    began, seed = time.monotonic(), given.seed
    sums: dict[str, Counter[str]] = {name: Counter() for name in SCENES}
    broken = 0
    while time.monotonic() - began < given.minutes * 60:
        for name, scene in SCENES.items():
            folder = Path(tempfile.mkdtemp(prefix="genesis-otel-soak-"))
            chance = random.Random(f"{name} {seed}")
            try:
                ledger = scene(folder / "spool", chance, chance.uniform(0.5, 4.0))
                why = ledger.holds()
            except Exception as error:
                ledger, why = Ledger(), f"{type(error).__name__}: {error}"
            sums[name].update(numbers(ledger))
            if why:
                broken += 1
                print(f"BROKEN  {name}, seed {seed}, {folder}: {why}", flush=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        seed += 1
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.0f} minutes, seeds {given.seed} to {seed - 1}, one fault after the other")
    head = ("times", "ended", "stored", "counted", "doubled", "hung", "raised", "passed")
    print(f"{'':30}" + "".join(f"{each:>11}" for each in head))
    for name, sum_of in [*sums.items(), ("all", sum(sums.values(), Counter()))]:
        print(f"{name:30}" + "".join(f"{sum_of[each]:>11,}" for each in head))
    sys.exit(bool(broken))


def numbers(ledger: Ledger) -> dict[str, int]:
    """The figures of a ledger that can be added; of the stored spans, those that were reported as ended."""
    return {
        "times": 1,
        "ended": len(ledger.ended),
        "stored": len(ledger.ended & ledger.stored.keys()),
        "counted": ledger.counted,
        "doubled": ledger.doubled,
        "hung": ledger.hung,
        "raised": ledger.raised,
        "passed": ledger.passed,
    }


if __name__ == "__main__":
    main()
