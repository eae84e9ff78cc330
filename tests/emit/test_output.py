"""The output of an evaluation is on its span: bounded, without part of a secret at its beginning, and never in the
search's way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import output
from tests.support.recording import record


@pytest.fixture
def outputs_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an evaluation with the given outputs, one after another; returns what the span has."""

    def evaluate(*told: Any) -> Any:
        recorded = record(monkeypatch)
        with spans.evaluation(individual=None) as job:
            for each in told:
                job.result(output=each)
        (found,) = recorded.records("evaluation")
        return json.loads(found[names.EVALUATION_OUTPUT]) if names.EVALUATION_OUTPUT in found else None

    return evaluate


def test_outputs_are_kept_by_name(outputs_of: Any) -> None:
    """Texts, bytes and numbers are kept unchanged, other values as JSON; a text alone is standard output, and several
    texts of one name are joined."""
    told = {"stderr": b"caf\xc3\xa9\xff", "attempt": 2, "timeout": True, "shape": [1, {"a": None}]}
    found = outputs_of("out\n", told, {"attempt": 3})
    assert found == {
        "stdout": "out\n",
        "stderr": "café\\xff",
        "attempt": 3,
        "timeout": True,
        "shape": '[1, {"a": null}]',
    }
    assert outputs_of() is None


def test_a_long_output_keeps_its_end_from_a_whole_line_on(outputs_of: Any) -> None:
    """Half of a key at the beginning would not be recognised as a secret; a note says how much is left out."""
    lines = "".join(f"line {n} sk-key-{n:040}\n" for n in range(5000))
    mark, _, kept = outputs_of(lines)["stdout"].partition("\n")
    assert len(kept) <= output.KEPT and lines.endswith("\n" + kept) and kept.startswith("line ")
    assert mark == f"[{len(lines) - len(kept):,} more characters] …"


def test_a_long_output_of_one_line_loses_the_word_that_was_cut(outputs_of: Any) -> None:
    """Without a line break, the kept part begins after a whole word."""
    kept = outputs_of("word" * 20 + " " + "x" * 50 + " tail" * 20_000)["stdout"].partition("\n")[2]
    assert set(kept.split()) == {"tail"}


def test_all_outputs_of_an_evaluation_are_bounded(outputs_of: Any) -> None:
    """A program that prints endlessly, under any number of names, leaves no more than the bound; every name is kept."""
    found = outputs_of({f"name {n}": "y\n" * output.KEPT for n in range(10)})
    assert list(found) == [f"name {n}" for n in range(10)]
    texts = sum(len(text.partition("\n")[2]) for text in found.values())
    assert output.ALL - 10 * output.LONG_LINE < texts <= output.ALL
    assert len(outputs_of({str(n): "" for n in range(10_000)})) == output.NAMES


def test_an_output_that_cannot_be_read_leaves_the_search_alone(outputs_of: Any) -> None:
    """A value that raises is recorded as its type."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

        __repr__ = __str__

    assert outputs_of({"broken": Broken(), "fine": "text"}) == {"broken": '"<Broken>"', "fine": "text"}
