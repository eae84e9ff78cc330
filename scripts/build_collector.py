"""Builds the collector of ``otel-collector/builder.yaml`` from its Go modules, once per manifest, and prints its path.

In: the manifest; Go 1.25 or newer on the PATH, which fetches the builder and the modules. Out: the path of the binary, below the
user's cache folder (``XDG_CACHE_HOME``), under the manifest's version and hash. On failure: exit code 1 and what to do; an
interrupted build leaves nothing behind.

    python scripts/build_collector.py          build it if it is missing, and print its path
    python scripts/build_collector.py --path   only print the path
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MANIFEST = Path(__file__).resolve().parents[1] / "otel-collector" / "builder.yaml"
NAME = "otelcol-genesis"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"


def version() -> str:
    """The collector's version, which is also the builder's."""
    found = re.search(r"^  version: (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"{MANIFEST} names no version")
    return found[1]


def path() -> Path:
    """Where the binary of this manifest is, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:12]
    return cache / "genesis-otel" / "collector" / f"{version()}-{digest}" / NAME


def build(target: Path) -> None:
    """Build the binary at ``target``; with empty caches this takes minutes and both cores."""
    if shutil.which("go") is None:
        raise SystemExit(
            "The collector is built by Go, which is not on the PATH: install Go 1.25 or newer (https://go.dev/dl)"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Built beside the target and renamed when complete, so that two builds at once do no harm.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        manifest = Path(folder) / MANIFEST.name
        manifest.write_text(
            re.sub(r"^  output_path: .*$", f"  output_path: {folder}/build", MANIFEST.read_text(), flags=re.MULTILINE)
        )
        for command in (
            ["go", "install", f"{BUILDER}@v{version()}"],
            [f"{folder}/builder", "--config", str(manifest)],
        ):
            print("$", *command, file=sys.stderr, flush=True)
            done = subprocess.run(command, env={**os.environ, "GOBIN": folder}, stdout=sys.stderr, check=False)
            if done.returncode:
                raise SystemExit(
                    f"The collector could not be built: `{' '.join(command)}` ended with {done.returncode}"
                )
        (Path(folder) / "build" / NAME).replace(target)


def main(arguments: list[str]) -> None:
    """Build it if it is missing, and print its path."""
    target = path()
    if "--path" not in arguments and not target.exists():
        print(f"Building {target} (about five minutes the first time)", file=sys.stderr, flush=True)
        build(target)
    print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
