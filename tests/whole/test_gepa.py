"""GEPA's searches, recorded: the released gepa with its own state as the truth, and no network."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gepa.core.state import GEPAState  # type: ignore[import-untyped]

from examples.gepa.search import LengthAdapter, search
from genesis_otel import attributes as names
from genesis_otel.instrumentation import gepa
from tests.support.recording import Recorded, record


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    with_spans = record(monkeypatch)
    gepa.instrument(task="words", run_id="r")
    yield with_spans
    gepa.uninstrument()


def individuals(recorded: Recorded, run_id: str = "r") -> dict[str, dict[str, Any]]:
    return {
        each[names.INDIVIDUAL_ID]: each
        for each in recorded.records(names.RECORD_INDIVIDUAL)
        if each[names.RUN_ID] == run_id
    }


def status(recorded: Recorded) -> str:
    return str([each for each in recorded.records(names.RECORD_RUN) if names.RUN_STATUS in each][-1][names.RUN_STATUS])


def test_candidates_are_those_of_the_state(recorded: Recorded) -> None:
    """Each candidate of GEPA's result is an individual with its text, its score and its examples' scores."""
    result = search()
    found = individuals(recorded)
    accepted = {f"r-{number}" for number in range(len(result.candidates))}
    assert len(accepted) > 2 and accepted <= set(found)
    for number, candidate in enumerate(result.candidates):
        row = found[f"r-{number}"]
        assert row[names.INDIVIDUAL_CODE] == candidate["prompt"]
        assert row[names.INDIVIDUAL_COMBINED_SCORE] == pytest.approx(result.val_aggregate_scores[number])
        scores = json.loads(row[names.INDIVIDUAL_METRICS])["scores"]
        assert scores == {str(key): value for key, value in result.val_subscores[number].items()}
    rejected = [row for name, row in found.items() if name not in accepted]
    assert "a" in {row.get(names.INDIVIDUAL_CODE) for row in rejected}
    assert all(names.INDIVIDUAL_COMBINED_SCORE not in row for row in rejected)
    assert status(recorded) == "completed"


def test_resumed(recorded: Recorded, tmp_path: Path) -> None:
    """A resumed search is a run of its own that has all candidates of its state."""
    search(str(tmp_path), calls=30)
    gepa.instrument(task="words", run_id="again")
    result = search(str(tmp_path), calls=60)
    accepted = {f"again-{number}" for number in range(len(result.candidates))}
    assert accepted <= set(individuals(recorded, "again"))
    assert GEPAState.load(str(tmp_path)).program_candidates == result.candidates


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 5])
def test_a_run_that_dies_has_failed(recorded: Recorded, raised: type[BaseException], after: int) -> None:
    """An interrupt or an error, in the seed's evaluation or later, reaches the caller, and the run has failed."""

    class Dying(LengthAdapter):
        calls = 0

        def evaluate(self, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls > after:
                raise raised("stop")
            return super().evaluate(*args, **kwargs)

    with pytest.raises(raised):
        search(adapter=Dying())
    assert status(recorded) == "failed"


def test_the_callback_can_be_copied_and_pickled(recorded: Recorded) -> None:
    """What GEPA holds of ours breaks neither a deep copy nor a pickle."""
    seen: list[Any] = []

    class Looking(LengthAdapter):
        def evaluate(self, *args: Any, **kwargs: Any) -> Any:
            return super().evaluate(*args, **kwargs)

    from gepa.core.engine import GEPAEngine  # type: ignore[import-untyped]

    original = GEPAEngine._should_stop

    def look(self: Any, state: Any) -> Any:
        seen.append(len(pickle.dumps(copy.deepcopy(self.callbacks))))
        return original(self, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GEPAEngine, "_should_stop", look)
        search(adapter=Looking())
    assert seen
