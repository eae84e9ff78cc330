"""Writes what Grafana is provisioned with: `python -m grafana.source`, or `--check` to report files that differ from the code.

In: the modules beside this one. Out: ``dashboards/*.json`` and ``provisioning/{alerting,contact}/*.yaml``. On failure: `--check` lists the
files that differ and ends with 1, for `make check`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana.source import alerts
from grafana.source.boards import compare, lineage, llm, pipeline, run, runs, traces
from grafana.source.dashboard import rendered

HERE = Path(__file__).parents[1]


def files() -> dict[Path, str]:
    """The path and text of every file."""
    boards = {
        made["uid"]: made for made in (each.board() for each in (runs, run, llm, lineage, traces, compare, pipeline))
    }
    return {
        **{HERE / "dashboards" / f"{uid}.json": rendered(board) for uid, board in boards.items()},
        HERE / "provisioning" / "alerting" / "genesis.yaml": alerts.rendered(boards),
        HERE / "provisioning" / "contact" / "genesis.yaml": alerts.rendered_with_contact(boards),
    }


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m grafana.source [--check]", file=sys.stderr)
        return 2
    wanted = files()
    there = {*(HERE / "dashboards").glob("*.json")}
    there |= {path for kind in ("alerting", "contact") for path in (HERE / "provisioning" / kind).glob("*.yaml")}
    differ = sorted(
        [path for path, text in wanted.items() if path not in there or path.read_text() != text]
        + list(there - set(wanted))
    )
    if arguments:
        for path in differ:
            print(
                f"{path.relative_to(HERE.parent)} differs from grafana/source/: run `make dashboards`", file=sys.stderr
            )
        return 1 if differ else 0
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in there - set(wanted):
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
