"""A run's budget: `over_budget`, the warning and the callback, each once."""

from __future__ import annotations

import logging
import math
import pickle
import re
import threading

import pytest

from genesis_otel import _log, spans
from genesis_otel import attributes as names
from genesis_otel._emit import forgotten
from genesis_otel._emit.budget import Spending
from genesis_otel._emit.stopper import Stopper
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.recording import Recorded, record


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record(monkeypatch, through=LLMSpanProcessor)


def call(within: spans.Run | spans.Individual | spans.Generation, cost: float) -> None:
    with within.llm_call("gpt-4.1-mini") as made:
        made.response("!", input_tokens=1, output_tokens=1, cost=cost)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "budget" in each.getMessage()]


def test_over_budget_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing happens at the budget itself; beyond it the property changes, one line is logged, and the callback gets
    the cost, once whatever follows."""
    told: list[float] = []
    run = spans.run("task", run_id="once", budget=0.5, on_over_budget=told.append)
    assert run.over_budget is False
    with run.generation(0) as generation, generation.individual() as individual:
        call(individual, 0.25)
        call(generation, 0.25)
        assert (run.over_budget, told) == (False, [])
        call(individual, 0.125)
        assert (run.over_budget, told) == (True, [0.625])
    call(run, 1)
    run.end()
    assert told == [0.625]
    assert warnings(caplog) == ["the run once has cost $0.6250, more than its budget of $0.5000"]


def test_a_budget_that_is_spent_to_the_cent_is_not_exceeded(caplog: pytest.LogCaptureFixture) -> None:
    """Three calls of 0.1 are a budget of 0.3, although the sum of the three numbers is a little more; in several threads, too."""
    for budget, costs in ((0.3, [0.1] * 3), (0.7, [0.1] * 7), (1e-6, [1e-7] * 10), (33.3, [11.1] * 3)):
        run = spans.run("task", run_id=f"exact {budget}", budget=budget)
        callers = [threading.Thread(target=call, args=(run, cost)) for cost in costs]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert (run.over_budget, warnings(caplog)) == (False, [])
        call(run, budget / 1e6)
        assert run.over_budget is True
        caplog.clear()


@pytest.mark.parametrize("budget", [math.nan, math.inf, -1, "-0.5"])
def test_a_budget_that_is_no_amount_is_none(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, budget: float
) -> None:
    """A budget that is not a finite number of 0 or more is dropped with a warning: it can neither be kept nor exceeded."""
    monkeypatch.setattr(_log, "_said", {})
    with spans.run("task", run_id=f"odd {budget}", budget=budget) as run:
        call(run, 2)
        assert run.over_budget is None
    assert all(names.RUN_BUDGET not in told for told in recorded.records("run"))
    assert any("it was dropped" in line for line in warnings(caplog))
    assert not [line for line in warnings(caplog) if "has cost" in line]


def test_without_a_budget_over_budget_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """`over_budget` is unknown for a run without a budget, and in another process, which did not get the costs."""
    run = spans.run("task", run_id="none", on_over_budget=lambda spent: pytest.fail("there is no budget"))
    call(run, 1000)
    assert run.over_budget is None and not warnings(caplog)
    assert pickle.loads(pickle.dumps(run)).over_budget is None  # noqa: S301 - of our own making


def test_reported_costs_beyond_the_calls_count() -> None:
    """An individual's reported cost counts beyond that of its calls, a generation's beyond that of its individuals.
    Copies cost nothing."""
    told: list[float] = []
    with spans.run("task", run_id="told", budget=0.9, on_over_budget=told.append) as run:
        with run.generation(0) as generation:
            with generation.individual() as individual:
                call(individual, 0.25)
                individual.record(api_cost=0.25)
            with generation.individual() as individual:
                call(individual, 0.25)
                individual.record(api_cost=0.5)
            with generation.individual(mutation_type="migration") as individual:
                individual.record(api_cost=5)
        assert (run.over_budget, told) == (False, [])
        generation = run.generation(1)
        generation.end(total_cost=0.25)
        assert (run.over_budget, told) == (True, [1.0])


def test_a_generation_s_reported_cost_includes_what_was_paid_in_it() -> None:
    """Only what exceeds its calls and individuals is added to the run's cost; a reported cost below that adds nothing."""
    with spans.run("task", run_id="whole", budget=1.0) as run:
        generation = run.generation(0)
        call(generation, 0.25)
        with generation.individual() as individual:
            individual.record(api_cost=0.25)
        generation.end(total_cost=0.75)
        generation = run.generation(1)
        call(generation, 0.25)
        generation.end(total_cost=0.125)
        assert run.over_budget is False
        call(run, 0.125)
        assert run.over_budget is True


def test_a_call_that_outlasts_its_individual_is_in_the_generation_s_cost(recorded: Recorded) -> None:
    """It began before the individual got its id, and ends after the individual."""
    generation = spans.run("t").generation(1)
    individual = generation.individual()
    made = individual.llm_call("m")
    individual.id = "late"
    individual.end()
    made.response("!", cost=0.25)
    made.end()
    generation.end()
    (found,) = recorded.records("generation")
    assert found[names.GENERATION_TOTAL_COST] == 0.25


def test_threads_lose_no_cost_and_one_calls_the_callback() -> None:
    """Calls that end at the same time in several threads are all in the cost, and the callback is called once."""
    told: list[float] = []
    run = spans.run("task", run_id="threads", budget=1023.5, on_over_budget=told.append)

    def calls() -> None:
        for _ in range(128):
            call(run, 1)

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [1024]


def test_what_a_callback_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The search goes on, and the call is recorded."""

    def refuse(spent: float) -> None:
        raise RuntimeError("too much")

    with spans.run("task", run_id="raises", budget=1, on_over_budget=refuse) as run:
        call(run, 2)
    (said,) = [each for each in caplog.records if each.exc_info]
    assert said.levelno == logging.WARNING and "on_over_budget of the run raises raised" in said.getMessage()


def unpriced_call(within: spans.Run | spans.Individual) -> None:
    with within.llm_call("a-model-that-nobody-sells") as made:
        made.response("!", input_tokens=1, output_tokens=1)


def test_an_unpriced_call_makes_over_budget_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """The run is then unknown instead of below its budget, which one line says; it is over as soon as the known cost
    exceeds the budget, and after that nothing is unknown."""
    with spans.run("task", run_id="unpriced", budget=1) as run:
        with run.generation(0) as generation, generation.individual() as individual:
            call(individual, 0.5)
            assert run.over_budget is False
            unpriced_call(individual)
            unpriced_call(run)
        assert run.over_budget is None
        (said,) = warnings(caplog)
        assert "the run unpriced has calls without a price" in said and "GENESIS_OTEL_PRICES" in said
        call(run, 0.75)
        assert run.over_budget is True
    caplog.clear()
    with spans.run("task", run_id="known", budget=1) as run:
        call(run, 2)
        unpriced_call(run)
    (said,) = warnings(caplog)
    assert said.startswith("the run known has cost $2.00")
    caplog.clear()
    with spans.run("task", run_id="boundless") as run:
        unpriced_call(run)
    assert run.over_budget is None and not warnings(caplog)


def ended(recorded: Recorded) -> tuple[str, str | None]:
    told = [each for each in recorded.records(names.RECORD_RUN) if each[names.RUN_STATUS] != "running"][-1]
    return told[names.RUN_STATUS], told.get(names.RUN_ERROR)


def test_a_run_that_was_stopped_says_why(recorded: Recorded) -> None:
    """A run that was stopped on purpose is `stopped`; an error on top makes it `failed`, with the error."""
    with spans.run("task", run_id="stopped") as run:
        run.stopped("good enough")
    assert ended(recorded) == ("stopped", "good enough")
    with spans.run("task", run_id="failed") as run:
        run.stopped("good enough")
        run.fail(ValueError("worse"))
    assert ended(recorded) == ("failed", "ValueError: worse")


def test_a_search_is_stopped_if_that_is_enabled(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enabled by the hook's argument or the environment, and only over budget; the one warning says so, and so does the
    run's end. Off by default."""
    for told, variable, stops in (
        (None, "", False),
        (True, "", True),
        (None, " Y ", True),
        (None, "true", True),
        (False, "true", False),
    ):
        monkeypatch.setenv("GENESIS_OTEL_STOP_OVER_BUDGET", variable)
        caplog.clear()
        with spans.run("task", run_id=f"{told} {variable}", budget=1) as run:
            stopper = Stopper(run, told)
            call(run, 1)
            assert not stopper.is_due()
            call(run, 0.5)
            assert stopper.is_due() is stops
        (said,) = warnings(caplog)
        assert said.endswith(": it stops at its next step") is stops
        why = "over budget: it has cost $1.50, more than its budget of $1.00"
        assert ended(recorded) == (("stopped", why) if stops else ("completed", None))


def test_stopping_without_a_budget_warns_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One line names the missing setting."""
    run = spans.run("task", run_id="no budget")
    stopper = Stopper(run, True)
    call(run, 1000)
    run.end()
    assert not stopper.is_due()
    (said,) = warnings(caplog)
    assert "nothing stops it" in said and "GENESIS_OTEL_BUDGET" in said


def test_a_hostile_run_id_is_quoted_in_log_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal obeys no control or bidirectional character of a run's id, and no line of a log begins within it, whichever line
    names the run: about its budget, its prices, its callback, stopping, a guessed place, or that it is not recorded."""
    monkeypatch.setattr(_log, "_said", {})

    def tell(spent: float) -> None:
        raise ValueError("of the caller")

    run = spans.run("task", run_id="ru\x1b[31mn\n\u202eid", budget=0.5, on_over_budget=tell)
    run.llm_call("unheard-of").end()
    spans.action("guessed")
    call(run, 1)
    Stopper(spans.run("task", run_id="other\x1b\u202e"), told=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forgotten, "_nowhere", lambda: True)
        forgotten.at_run("third\x1b\u202e")
    said = [each.getMessage() for each in caplog.records]
    assert len(said) == 6
    assert all(line.isprintable() and re.search(r"(ru|other|third)\\x1b", line) for line in said)


def test_a_call_that_ends_while_its_thread_adds_another_counts() -> None:
    """In a signal handler, or in a finaliser that the garbage collector runs between the reading of a sum and the writing of it."""
    spending = Spending("r")

    class Interrupted(float):
        def __radd__(self, paid: float) -> float:
            spending.pay(0.25)
            return paid + float(self)

    spending.pay(1.0)
    spending.pay(Interrupted(0.5))
    spending.pay(2.0)
    assert spending.spent == 3.75
