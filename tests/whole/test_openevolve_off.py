"""Off is off: `instrument()` without a configuration changes nothing in an OpenEvolve search's requests, results and
files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genesis_otel.demo import model
from tests.support.environment import without_settings

DRIVER = Path(__file__).parents[1] / "support" / "openevolve_off.py"
CLOCK = re.compile(r'\\?"(timestamp|saved_at)\\?": [^,}]*|(/[\w/]*/)?tmp\w{8}\.py')


def searched(folder: Path, *more: str) -> dict[str, str]:
    """Run a search, and return the files that it wrote, without timestamps."""
    kept = without_settings()
    with model.serving(pace=0) as url:
        done = subprocess.run(
            [sys.executable, str(DRIVER), str(folder), url, *more],
            env={**kept, "NO_PROXY": "127.0.0.1", "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(folder)): CLOCK.sub("", path.read_text())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".log"
    }


def test_without_a_configuration_a_search_is_the_same_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same requests to the model in the same order, the same programs under the same ids, the same files with the
    same content."""
    asked: list[list[str]] = []
    answer = model._Server.answer

    def noted(self: Any, request: Any, asker: object) -> Any:
        asked[-1].append(CLOCK.sub("", json.dumps(request, sort_keys=True)))
        return answer(self, request, asker)

    monkeypatch.setattr(model._Server, "answer", noted)
    found = []
    for more in ((), ("instrumented",)):
        asked.append([])
        found.append(searched(tmp_path / "-".join(("search", *more)), *more))
    plain, instrumented = found
    assert len(asked[0]) >= 12 and any("programs" in name for name in plain)
    assert asked[0] == asked[1]
    assert plain.keys() == instrumented.keys()
    assert {name for name in plain if plain[name] != instrumented[name]} == set()
