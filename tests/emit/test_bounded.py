"""Unbounded values cost a search neither its memory nor a record."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from genesis_otel._emit.json_values import CUT, MOST, to_json

NARROW = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from genesis_otel._emit.json_values import to_json

class Endless:
    def __len__(self): return 10**12
    def __iter__(self): return iter(range(10**12))

for seeds in (range(10**8), {"a": {"b": [range(10**8)] * 1000}}, Endless(), {n: range(10**6) for n in range(10_000)}):
    assert to_json({"seeds": seeds, "task": "t"}).startswith('{"seeds": ')
print("done")
"""


def test_a_value_is_bounded_before_it_is_copied() -> None:
    """Ranges and containers that would take many GB as lists are recorded by a process that may use only one."""
    answer = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.returncode) == ("done\n", 0), answer.stderr


@pytest.mark.parametrize(
    "large",
    [
        range(10**7),
        list(range(2_000_000)),
        ["x" * (MOST // 2)] * 4,
        {str(n): n for n in range(1_500_000)},
        "x" * (MOST + 7),
    ],
    ids=["range", "list", "texts", "mapping", "text"],
)
def test_truncation_is_marked(large: Any) -> None:
    """A value beyond the bound is still JSON, contains its beginning, and says that there was more."""
    written = to_json({"first": 1, "large": large, "last": 2})
    assert len(written) < MOST + 1000
    read = json.loads(written)
    assert read["first"] == 1
    if isinstance(large, str):
        assert read["large"].startswith("xxx") and read["large"].endswith("more characters]")
    else:
        kept = list(read["large"])
        assert kept[0] == (large[0] if not isinstance(large, dict) else "0")
        assert kept[-1] == CUT or str(kept[-1]).endswith("more characters]")


def test_a_value_within_the_bound_is_whole() -> None:
    """Ten megabytes in a hundred thousand items are kept exactly."""
    value = {"rows": [[n, f"row {n} " + "x" * 80, n / 7] for n in range(100_000)]}
    assert json.loads(to_json(value)) == value


def test_keys_that_are_numbers_keep_their_mapping() -> None:
    """Quantiles, thresholds: beside a value that JSON lacks, too, they are the keys that JSON's encoder writes."""
    import numpy as np

    value = {
        "of": {0.5: float("nan"), np.float64(0.25): 1, 1e22: 2, float("inf"): 3, 7: 4, np.int64(8): 5, None: 6, True: 7}
    }
    keys = ("0.5", "0.25", "1e+22", "Infinity", "7", "8", "null", "true")
    assert json.loads(to_json(value)) == {"of": dict(zip(keys, ("NaN", 1, 2, 3, 4, 5, 6, 7), strict=True))}


def test_a_large_array_keeps_its_beginning() -> None:
    """An array is truncated before it is converted to a list."""
    import numpy as np

    read = json.loads(to_json({"a": np.arange(50_000_000, dtype=np.int8).reshape(-1, 10)}))
    assert read["a"][0] == list(range(10))
    assert read["a"][-1] == CUT


def test_a_text_in_a_structure_is_not_cut_within_a_word() -> None:
    """Half a key does not look like one, so nothing of a word at the cut is kept."""
    written = to_json({"a": "word " * ((MOST - 150) // 5) + "k" * 300})
    assert "more characters]" in written and "kk" not in written
