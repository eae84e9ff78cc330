"""One property after another, with a new seed each round, for a given time.

python -m tests.fuzz --minutes 10 --seed 1

In: the duration, the first seed, and which properties. Out: how many examples of each were tried, on standard output.
On failure: exit code 1 and hypothesis's smallest example, on standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter

from tests.fuzz.properties import PROPERTIES, ground, tried

EXAMPLES = 100
"""Per property and seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *PROPERTIES], help="which; all by default")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    given = parser.parse_args()
    warnings.simplefilter("error")
    began, seed, broken = time.monotonic(), given.seed, set[str]()
    examples: Counter[str] = Counter()
    with ground() as made:
        while time.monotonic() - began < given.minutes * 60 and len(broken) < len(given.names or PROPERTIES):
            for name in given.names or PROPERTIES:
                if name in broken:
                    continue
                try:
                    tried(name, made, EXAMPLES, seed)
                except Exception:
                    broken.add(name)
                    print(f"BROKEN  {name}, seed {seed}", file=sys.stderr)
                    traceback.print_exc()
                examples[name] += EXAMPLES
            seed += 1
    print(f"{(time.monotonic() - began) / 60:.0f} minutes, seeds {given.seed} to {seed - 1}")
    for name, count in examples.items():
        print(f"  {name:12}{count:>10,} examples{'  BROKEN' if name in broken else ''}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
