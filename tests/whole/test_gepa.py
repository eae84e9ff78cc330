"""GEPA's searches are recorded: the released gepa, with its own state as the truth, and no network."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch
from gepa.core.engine import GEPAEngine
from gepa.core.state import GEPAState
from gepa.lm import LM
from gepa.strategies.proposal_sampling import IndependentSampling

from examples.gepa.search import LengthAdapter, search
from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel.instrumentation import gepa
from tests.support.recording import Recorded, attributes_of, record


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    with_spans = record(monkeypatch)
    gepa.instrument(task="words", run_id="r")
    yield with_spans
    gepa.uninstrument()


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """The same, with prices for the calls."""
    with_spans = record(monkeypatch, through=LLMSpanProcessor)
    gepa.instrument(task="words", run_id="r")
    yield with_spans
    gepa.uninstrument()


def individuals(recorded: Recorded, run_id: str = "r") -> dict[str, dict[str, Any]]:
    return {
        each[names.INDIVIDUAL_ID]: each
        for each in recorded.records(names.RECORD_INDIVIDUAL)
        if each[names.RUN_ID] == run_id
    }


def candidates(recorded: Recorded, run_id: str = "r") -> list[str]:
    """The individuals' ids, by GEPA's candidate numbers."""
    told = [
        json.loads(each[names.ACTION_DETAILS])
        for each in recorded.records(names.RECORD_ACTION)
        if each[names.ACTION_TYPE] == "candidate_accepted" and each[names.RUN_ID] == run_id
    ]
    assert [each["candidate"] for each in told] == list(range(len(told)))
    return [each["individual_id"] for each in told]


def status(recorded: Recorded) -> str:
    return str([each for each in recorded.records(names.RECORD_RUN) if names.RUN_STATUS in each][-1][names.RUN_STATUS])


def test_candidates_are_those_of_the_state(recorded: Recorded) -> None:
    """Each candidate of GEPA's result is an individual with its text, its score and its examples' scores."""
    result = search()
    found, accepted = individuals(recorded), candidates(recorded)
    assert len(accepted) == len(result.candidates) > 2
    for number, candidate in enumerate(result.candidates):
        row = found[accepted[number]]
        assert row[names.INDIVIDUAL_CODE] == candidate["prompt"]
        assert row[names.INDIVIDUAL_COMBINED_SCORE] == pytest.approx(result.val_aggregate_scores[number])
        scores = json.loads(row[names.INDIVIDUAL_METRICS])["scores"]
        assert scores == {str(key): value for key, value in result.val_subscores[number].items()}
    config = json.loads(recorded.records(names.RECORD_RUN)[0][names.RUN_CONFIG])
    assert (config["max_metric_calls"], config["max_iterations"], config["adapter"]) == (60, None, "LengthAdapter")
    rejected = [row for name, row in found.items() if name not in accepted]
    assert "a" in {row.get(names.INDIVIDUAL_CODE) for row in rejected}
    assert all(names.INDIVIDUAL_COMBINED_SCORE not in row for row in rejected)
    assert status(recorded) == "completed"


def test_resumed(recorded: Recorded, tmp_path: Path) -> None:
    """A resumed search continues its run: each candidate of the state is recorded once, and so is each generation."""
    search(str(tmp_path), calls=30)
    result = search(str(tmp_path), calls=60)
    accepted = candidates(recorded)
    assert [individuals(recorded)[name][names.INDIVIDUAL_CODE] for name in accepted] == [
        each["prompt"] for each in result.candidates
    ]
    assert GEPAState.load(str(tmp_path)).program_candidates == result.candidates
    numbers = [each[names.GENERATION] for each in recorded.records(names.RECORD_GENERATION)]
    assert sorted(numbers) == list(range(len(numbers)))
    ended = [each for each in recorded.records(names.RECORD_RUN) if each.get(names.RUN_STATUS) == "completed"]
    assert [each[names.RUN_TOTAL_GENERATIONS] for each in ended][-1] == len(numbers)


def test_resumed_as_another_run(recorded: Recorded, tmp_path: Path) -> None:
    """A search that is resumed under another id is a separate run with all candidates of its state."""
    search(str(tmp_path), calls=30)
    gepa.instrument(task="words", run_id="again")
    result = search(str(tmp_path), calls=60)
    codes = [each.get(names.INDIVIDUAL_CODE) for each in individuals(recorded, "again").values()]
    assert {each["prompt"] for each in result.candidates} <= set(codes)
    assert {each.get(names.INDIVIDUAL_MUTATION_TYPE) for each in individuals(recorded, "again").values()} >= {
        "restored"
    }


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 5])
def test_a_run_that_dies_has_failed(recorded: Recorded, raised: type[BaseException], after: int) -> None:
    """An interrupt or an error, during the seed's evaluation or later, reaches the caller, and the run has failed."""

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
    jobs = [span for span in recorded.named("evaluation") if not span.status.is_ok]
    assert [span.status.description for span in jobs if span.status.description] == [f"{raised.__name__}: stop"]
    failed = [span.status.description for span in recorded.named("individual") if span.status.description]
    # A proposal that was in progress records why it failed; after five evaluations that is a child.
    assert set(failed) == {f"{raised.__name__}: stop"}


def test_the_callback_can_be_copied_and_pickled(recorded: Recorded) -> None:
    """Our objects that GEPA holds can be deep-copied and pickled."""
    seen: list[Any] = []

    original = GEPAEngine._should_stop

    def look(self: Any, state: Any) -> Any:
        seen.append(len(pickle.dumps(copy.deepcopy(self.callbacks))))
        return original(self, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GEPAEngine, "_should_stop", look)
        search()
    assert seen


def lineages(recorded: Recorded) -> dict[str, set[str]]:
    """The parents of each individual, according to its edges."""
    found: dict[str, set[str]] = {}
    for name, row in individuals(recorded).items():
        edges = json.loads(row.get(names.LINEAGE_EDGES, "[]")) or [{"parent_id": row.get(names.LINEAGE_PARENT_ID)}]
        found[name] = {each["parent_id"] for each in edges if each["parent_id"]}
    return found


class TwoComponents(LengthAdapter):
    """Even examples want a longer ``a``, odd ones a longer ``b``, and each text lowers the other's scores."""

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        lengths = len(candidate["a"]), len(candidate["b"])
        scores = [(2 * lengths[example % 2] - lengths[1 - example % 2]) / 100 for example in batch]
        return EvaluationBatch(outputs=scores, scores=scores, trajectories=scores if capture_traces else None)

    def propose_new_texts(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        with spans.llm_call("m", provider="openai", messages="Better", role="mutation") as call:
            call.response("x", input_tokens=3, output_tokens=1)
        return {name: candidate[name] + "x" for name in components}


def test_merges_fronts_and_calls(recorded: Recorded) -> None:
    """Parents equal the state's, including both parents of a merge; the last front equals the state's; each call
    belongs to its proposal."""
    result: Any = optimize(
        seed_candidate={"a": "x", "b": "x"},
        trainset=list(range(8)),
        valset=list(range(8)),
        adapter=cast(Any, TwoComponents()),
        max_metric_calls=250,
        use_merge=True,
        display_progress_bar=False,
    )
    named = candidates(recorded)
    of_state = {
        named[number]: {named[parent] for parent in parents if parent is not None}
        for number, parents in enumerate(result.parents)
    }
    found = lineages(recorded)
    assert {name: found[name] for name in of_state} == of_state
    assert any(len(parents) == 2 for parents in of_state.values())
    generations = [span for span in recorded.spans if span.name == "generation"]
    last = max(generations, key=lambda span: int((span.attributes or {})[names.GENERATION]))  # type: ignore[arg-type]
    (event,) = [each for each in last.events if each.name == names.EVENT_PARETO_FRONT]
    members = json.loads(str((event.attributes or {})[names.PARETO_FRONT_MEMBERS]))
    front = set().union(*result.per_val_instance_best_candidates.values())
    assert {each["individual_id"] for each in members} == {named[number] for number in front}
    assert json.loads(str((last.attributes or {})[names.GENERATION_METADATA]))["metric_calls"] == (
        result.total_metric_calls
    )
    calls = [span for span in recorded.spans if span.name == "chat m"]
    owners = {(span.parent.span_id if span.parent else 0) for span in calls}
    known = {span.context.span_id for span in recorded.spans if span.name == "individual" and span.context}
    assert len(owners) == len(calls) and owners <= known


def test_two_proposals_at_once(recorded: Recorded) -> None:
    """Each call of a custom model belongs to its proposal, and each evaluation to its candidate, also with two
    proposals at once."""

    def reflect(prompt: str | list[dict[str, Any]]) -> str:
        with spans.llm_call("m", messages=prompt, role="mutation"):
            return f"```\n{str(prompt).split('```')[1].strip()} more\n```"

    class Reflecting(LengthAdapter):
        propose_new_texts = None  # type: ignore[assignment]

    result = search(
        adapter=Reflecting(),
        reflection_lm=reflect,
        sampling_strategy=IndependentSampling(2),
        reflection_minibatch_size=1,
    )
    found = individuals(recorded)
    calls = [attributes_of(span) for span in recorded.named("chat m")]
    proposals = [name for name, row in found.items() if row[names.INDIVIDUAL_MUTATION_TYPE] == "reflection"]
    assert any(name.endswith(".1") for name in proposals) and len(result.candidates) > 2
    assert sorted(call[names.INDIVIDUAL_ID] for call in calls) == sorted(proposals)
    for call in calls:
        row = found[call[names.INDIVIDUAL_ID]]
        assert call[names.GENERATION] == row[names.GENERATION]
        # The prompt has the parent's text, and the answer is that text with one more word.
        assert f"```\\n{row[names.INDIVIDUAL_CODE].removesuffix(' more')}\\n```" in call[names.GEN_AI_INPUT_MESSAGES]
    jobs = Counter(each[names.INDIVIDUAL_ID] for each in recorded.records(names.RECORD_EVALUATION))
    assert set(proposals) <= set(jobs)


def test_a_failed_proposal_says_why(recorded: Recorded) -> None:
    """If the search goes on after an error, the proposal's row has the exception, not just that it produced nothing."""

    class Failing(LengthAdapter):
        def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
            if candidate["prompt"] == "a":
                raise ValueError("too short")
            return super().evaluate(batch, candidate, capture_traces)

    search(adapter=Failing(), raise_on_exception=False)
    told = {span.status.description for span in recorded.named("individual") if not span.status.is_ok}
    assert told == {"ValueError: too short"}
    actions = [each[names.ACTION_TYPE] for each in recorded.records(names.RECORD_ACTION)]
    assert actions.count("proposal_failed") == actions.count("iteration_failed") > 0
    assert status(recorded) == "completed"


def test_an_unknown_gepa_version_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A newer GEPA, or one that lacks a method, is named in one line each; everything else is recorded."""
    recorded = record(monkeypatch)
    monkeypatch.setattr(gepa, "NEWEST_RUN", (0, 1, 3))
    monkeypatch.delattr(GEPAEngine, "_report_rejected_proposal")
    with caplog.at_level(logging.WARNING):
        gepa.instrument(run_id="r")
    try:
        assert "gepa 0.1.4 is newer than the newest tested version, 0.1.3" in caplog.text
        assert "has no _report_rejected_proposal" in caplog.text
        search(calls=6)
        assert status(recorded) == "completed"
    finally:
        gepa.uninstrument()


def test_uninstrument_leaves_nothing() -> None:
    """All that was wrapped is restored."""
    before = [vars(owner).get(name) for owner, name in WRAPPED]
    gepa.instrument()
    assert [vars(owner).get(name) for owner, name in WRAPPED] != before
    gepa.uninstrument()
    assert [vars(owner).get(name) for owner, name in WRAPPED] == before


WRAPPED = [(GEPAEngine, "run"), (GEPAEngine, "_batch_evaluate"), (LM, "__call__"), (LM, "batch_complete")]


class PaidAdapter(LengthAdapter):
    """Each proposal costs a dollar."""

    def propose_new_texts(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        with spans.llm_call("gpt-4.1") as call:
            call.response("more", input_tokens=1, output_tokens=1, cost=1.0)
        return super().propose_new_texts(candidate, dataset, components)


def test_over_budget_it_stops_before_the_next_iteration(
    priced: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """GEPA's result includes all its iterations, each of which is recorded; the run is stopped and says why, and so
    does one warning. With a larger budget, the same search continues."""
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "2.5")
    gepa.instrument(stop_over_budget=True)
    adapter = PaidAdapter()
    result = search(str(tmp_path), adapter, calls=600)
    assert adapter.proposals == 3
    assert len(candidates(priced)) == len(result.candidates) and result.best_idx > 0
    (ended,) = [each for each in priced.records(names.RECORD_RUN) if each[names.RUN_STATUS] != "running"]
    assert (ended[names.RUN_STATUS], ended[names.RUN_TOTAL_GENERATIONS]) == ("stopped", 4)
    assert ended[names.RUN_ERROR] == "over budget: it has cost $3.00, more than its budget of $2.50"
    stops = [each for each in priced.records(names.RECORD_ACTION) if each[names.ACTION_TYPE] == "search_stopped"]
    assert [json.loads(each[names.ACTION_DETAILS]) for each in stops] == [{"reason": "over_budget"}]
    said = [each.getMessage() for each in caplog.records if "budget" in each.getMessage()]
    assert said == ["the run r has cost $3.00, more than its budget of $2.50: it stops at its next step"]
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "4.5")
    search(str(tmp_path), adapter, calls=600)
    assert adapter.proposals == 5 and status(priced) == "stopped"


def test_by_default_a_search_continues_over_budget(priced: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless stopping is enabled, a search over budget ends by itself."""
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "0.5")
    adapter = PaidAdapter()
    search(adapter=adapter)
    assert adapter.proposals > 3 and status(priced) == "completed"
