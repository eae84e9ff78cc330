"""What an evaluation put out is on its span: bounded, without half a secret at its beginning, and never in the way of the search."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import output
from tests.support.recording import record


@pytest.fixture
def put_out(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Evaluates with the outputs that are given one after the other, and returns what the span has."""

    def evaluate(*told: Any) -> Any:
        recorded = record(monkeypatch)
        with spans.evaluation(individual=None) as job:
            for each in told:
                job.result(output=each)
        (found,) = recorded.records("evaluation")
        return json.loads(found[names.EVALUATION_OUTPUT]) if names.EVALUATION_OUTPUT in found else None

    return evaluate


def test_outputs_are_kept_by_name(put_out: Any) -> None:
    """Texts, bytes and numbers are kept as they are, other values as JSON; a text alone is standard output, and names add up."""
    told = {"stderr": b"caf\xc3\xa9\xff", "attempt": 2, "timeout": True, "shape": [1, {"a": None}]}
    found = put_out("out\n", told, {"attempt": 3})
    assert found == {
        "stdout": "out\n",
        "stderr": "café\\xff",
        "attempt": 3,
        "timeout": True,
        "shape": '[1, {"a": null}]',
    }
    assert put_out() is None


def test_a_long_output_keeps_its_end_from_a_whole_line_on(put_out: Any) -> None:
    """Half a key at the beginning would not be recognised as one; how much is left out is said."""
    lines = "".join(f"line {n} sk-key-{n:040}\n" for n in range(5000))
    mark, _, kept = put_out(lines)["stdout"].partition("\n")
    assert len(kept) <= output.KEPT and lines.endswith("\n" + kept) and kept.startswith("line ")
    assert mark == f"[{len(lines) - len(kept):,} more characters] …"


def test_a_long_output_of_one_line_loses_the_word_that_was_cut(put_out: Any) -> None:
    """Where there is no line, what is kept begins behind a whole word."""
    kept = put_out("word" * 20 + " " + "x" * 50 + " tail" * 20_000)["stdout"].partition("\n")[2]
    assert set(kept.split()) == {"tail"}


def test_all_outputs_of_an_evaluation_are_bounded(put_out: Any) -> None:
    """A program that prints without end, under as many names as it likes, leaves no more than the bound; every name is there."""
    found = put_out({f"name {n}": "y\n" * output.KEPT for n in range(10)})
    assert list(found) == [f"name {n}" for n in range(10)]
    texts = sum(len(text.partition("\n")[2]) for text in found.values())
    assert output.ALL - 10 * output.LONG_LINE < texts <= output.ALL
    assert len(put_out({str(n): "" for n in range(10_000)})) == output.NAMES


def test_an_output_that_cannot_be_read_leaves_the_search_alone(put_out: Any) -> None:
    """A value that raises is written as its type."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

        __repr__ = __str__

    assert put_out({"broken": Broken(), "fine": "text"}) == {"broken": '"<Broken>"', "fine": "text"}
