"""What redaction costs, in milliseconds of CPU per MiB, for ordinary texts and for texts made to be slow.

Run: python benchmarks/redact.py. Prints the best of five rounds for each text, with its limit: a busy machine takes twice as long.
"""

from __future__ import annotations

import random
import sys
import sysconfig
import time
from pathlib import Path

from rounds import Limit, verdict

from genesis_otel._ship.redaction.redact import TOO_MANY, redactor

MEBIBYTE = 1 << 20
ORDINARY, WORST = 8.0, 25.0
"""Milliseconds per MiB."""
ROUNDS = 5


def code() -> str:
    """Two MiB of Python from the standard library."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)[: 2 * MEBIBYTE]


def main() -> int:
    """Measure, print, and judge."""
    chance = random.Random(1)
    source = code()
    texts = {
        "Python": (source, ORDINARY),
        "Python in JSON": (source.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"), ORDINARY),
        "hexadecimal": ("".join(chance.choices("0123456789abcdef", k=MEBIBYTE)), ORDINARY),
        "sk-sk-": ("sk-" * (MEBIBYTE // 3), WORST),
        "://a:b@": ("://a:b@" * (MEBIBYTE // 7), WORST),
        "passwords": ('password="hunter22"\n' * (MEBIBYTE // 20), WORST),
        "open quotes": ('password="' * (MEBIBYTE // 10), WORST),
        "private keys": ("-----BEGIN PRIVATE KEY-----" * (MEBIBYTE // 27), WORST),
        "cookies": ("cookie: a" * (MEBIBYTE // 9), WORST),
        "escapes": ("a\\u0062" * (MEBIBYTE // 7), WORST),
        "random Base64": ("".join(chance.choices("abcdefXYZ0123456789-_", k=MEBIBYTE)), WORST),
    }
    redact = redactor()
    limits = []
    for name, (text, bound) in texts.items():
        taken = []
        for _ in range(ROUNDS):
            began = time.process_time()
            found = redact(text)
            taken.append(time.process_time() - began)
        per = min(taken) * 1000 / (len(text.encode()) / MEBIBYTE)
        whole = ", replaced as a whole" if found == TOO_MANY else ""
        limits.append(Limit(f"{name}, ms per MiB{whole}", per, bound))
    return verdict(limits)


if __name__ == "__main__":
    sys.exit(main())
