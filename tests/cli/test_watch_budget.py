"""`watch --fail-over-budget`: the exit code says that a run has exceeded its budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from genesis_otel import spans
from genesis_otel._cli.app import main
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.environment import take_settings_out
from tests.support.recording import record
from tests.support.searched import end_store, fill


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with runs that cost 2 USD: `over` has a budget of 1 and goes on, `within` one of 5 and has ended, `free`
    has none; `spent` has cost its budget of 0.3, in three calls of 0.1."""
    folder = tmp_path_factory.mktemp("budget")
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        for run_id, budget in (("over", 1), ("within", 5), ("free", None)):
            run = spans.run("task", run_id=run_id, budget=budget)
            with run.llm_call("gpt-4.1-mini") as call:
                call.response("!", input_tokens=1, output_tokens=1, cost=2)
            if run_id != "over":
                run.end()
        with spans.run("task", run_id="spent", budget=0.3) as run:
            for _ in range(3):
                with run.llm_call("gpt-4.1-mini") as call:
                    call.response("!", input_tokens=1, output_tokens=1, cost=0.1)
        fill(folder / "store", recorded.spans)
    yield folder
    end_store(folder / "store")


@pytest.fixture(autouse=True)
def settings(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_settings_out(monkeypatch)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))


def test_a_run_over_its_budget_ends_the_watch(capfd: pytest.CaptureFixture[str]) -> None:
    """It ends with code 4 and a line, although the run is still going."""
    assert main(["watch", "over", "--interval", "3600", "--fail-over-budget"]) == 4
    assert "over has cost $2.00, more than its budget of $1.00" in capfd.readouterr().err


def test_a_run_shows_its_budget(capfd: pytest.CaptureFixture[str]) -> None:
    """`show` says what a run may cost, if that is limited."""
    assert main(["show", "within", "--format", "table"]) == main(["show", "free", "--format", "table"]) == 0
    shown = dict(
        line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines() if line[:6] in ("run   ", "budget")
    )
    assert shown == {"run": "free", "budget": "$5.00"}


def test_a_run_within_its_budget_ends_well(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0 when it has ended; a run without a budget uses the one from the settings, or is a usage error; one with a budget of its own
    keeps to that."""
    assert main(["watch", "within", "--fail-over-budget"]) == main(["watch", "spent", "--fail-over-budget"]) == 0
    assert main(["watch", "free", "--fail-over-budget"]) == 2
    assert "free has no budget" in capfd.readouterr().err
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "1.5")
    assert main(["watch", "free", "--fail-over-budget"]) == 4
    assert main(["watch", "within", "--fail-over-budget"]) == 0
    assert main(["watch", "free"]) == 0
