"""A search of GEPA in a separate process, for tests/whole/test_gepa_calls.py: ``gepa_driver.py HOW FOLDER URL SEED
[STOP]``.

It prints GEPA's own state, and what its clients have counted, as one line of JSON. With STOP, it is interrupted after
that many evaluations.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

from gepa.adapters.default_adapter.default_adapter import DefaultAdapter, EvaluationResult
from gepa.api import optimize
from gepa.core.engine import GEPAEngine
from gepa.lm import LM
from gepa.strategies.proposal_sampling import IndependentSampling

import genesis_otel
from genesis_otel.instrumentation.gepa import instrument

STATES: list[Any] = []
CLIENTS: list[LM] = []
LMS: list[Any] = []
"""DSPy's clients."""


class Interrupt:
    """Counts evaluations, and interrupts the process at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def score(wanted: str, response: str) -> float:
    """The score of a response that gives a number: the nearer, the better."""
    told = [int(word) for word in response.split() if word.isdigit()]
    return 1 / (1 + abs(int(wanted) - told[0]))


def client(model: str, url: str) -> LM:
    """GEPA's own client."""
    made = LM(f"openai/{model}", api_base=url, api_key="sk-secret-of-the-endpoint", num_retries=1)
    CLIENTS.append(made)
    return made


def prompts(folder: Path, url: str, seed: int, interrupt: Interrupt) -> None:
    """``gepa.optimize`` with its default adapter, whose model is called in a pool; one component, one proposal at a
    time."""

    def evaluate(data: Any, response: str) -> EvaluationResult:
        interrupt()
        return EvaluationResult(score(data["answer"], response), "longer", None)

    adapter = DefaultAdapter(
        "openai/gpt-4.1-mini", evaluate, litellm_batch_completion_kwargs={"api_base": url, "api_key": "sk-secret"}
    )
    CLIENTS.append(adapter._lm)
    examples = [{"input": f"input {number}", "answer": str(number), "additional_context": {}} for number in (4, 6, 8)]
    optimize(
        seed_candidate={"instructions": "Count words"},
        trainset=cast(Any, examples),
        valset=cast(Any, examples),
        adapter=cast(Any, adapter),
        reflection_lm=client("gpt-4.1", url),
        max_metric_calls=60,
        run_dir=str(folder / "state"),
        raise_on_exception=False,
        seed=seed,
    )


def anything(folder: Path, url: str, seed: int, interrupt: Interrupt) -> None:
    """``optimize_anything`` with two components, merges, objectives, two proposals at once, examples in parallel, and a
    hand-written seed; some examples raise."""
    oa = importlib.import_module("gepa.optimize_anything")
    task = client("gpt-4.1-mini", url)

    def evaluate(candidate: dict[str, str], example: str) -> tuple[float, dict[str, Any]]:
        interrupt()
        text = candidate["even" if int(example) % 2 == 0 else "odd"]
        if example == "7" and len(text.split()) > 4:
            raise ValueError("too long for seven")
        told = task([{"role": "system", "content": text}, {"role": "user", "content": example}])
        found = score(example, told)
        return found, {"scores": {"near": found, "short": 1 / len(text)}, "Output": told}

    oa.optimize_anything(
        seed_candidate={"even": "Count words", "odd": "Count all words"},
        evaluator=evaluate,
        dataset=[str(number) for number in range(4, 10)],
        config=oa.GEPAConfig(
            engine=oa.EngineConfig(
                run_dir=str(folder / "state"),
                seed=seed,
                max_metric_calls=90,
                raise_on_exception=False,
                parallel=True,
                max_workers=4,
                sampling_strategy=IndependentSampling(2),
            ),
            reflection=oa.ReflectionConfig(reflection_lm=client("gpt-4.1", url), reflection_minibatch_size=2),
            merge=oa.MergeConfig(max_merge_invocations=3),
        ),
    )


def seedless(folder: Path, url: str, seed: int, interrupt: Interrupt) -> None:
    """``optimize_anything`` without a seed, so that a model writes it."""
    oa = importlib.import_module("gepa.optimize_anything")

    def evaluate(candidate: str) -> float:
        interrupt()
        return 1 / (1 + abs(5 - len(candidate.split())))

    oa.optimize_anything(
        seed_candidate=None,
        evaluator=evaluate,
        objective="As many words as are wanted",
        config=oa.GEPAConfig(
            engine=oa.EngineConfig(seed=seed, max_metric_calls=12),
            reflection=oa.ReflectionConfig(reflection_lm=client("gpt-4.1", url)),
        ),
    )


def dspy_program(folder: Path, url: str, seed: int, interrupt: Interrupt) -> None:
    """``dspy.GEPA`` on a program of two steps, with DSPy's own client and pools."""
    import dspy

    def model(name: str) -> Any:
        return dspy.LM(f"openai/{name}", api_base=url, api_key="sk-secret-of-the-endpoint", cache=False, num_retries=2)

    task, reflecting = model("gpt-4.1-mini"), model("gpt-4.1")
    LMS.extend((task, reflecting))
    dspy.configure(lm=task)

    def metric(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
        interrupt()
        return dspy.Prediction(score=1 / (1 + abs(int(gold.answer) - int(pred.answer))), feedback="longer")

    examples = [
        dspy.Example(question=f"q{number}", answer=str(number)).with_inputs("question") for number in (60, 70, 80)
    ]
    dspy.GEPA(
        metric=metric,
        max_metric_calls=40,
        reflection_lm=reflecting,
        num_threads=3,
        seed=seed,
        log_dir=str(folder / "state"),
        reflection_minibatch_size=2,
    ).compile(dspy.Predict("question -> answer"), trainset=examples, valset=examples)


def of_state(state: Any) -> dict[str, Any]:
    """GEPA's state as JSON."""
    numbers = range(len(state.program_candidates))
    return {
        "candidates": state.program_candidates,
        "parents": [[each for each in parents if each is not None] for parents in state.parent_program_for_candidate],
        "scores": [state.get_program_average_val_subset(number)[0] for number in numbers],
        "examples": [
            {str(name): value for name, value in scores.items()} for scores in state.prog_candidate_val_subscores
        ],
        "front": sorted(set().union(*state.get_pareto_front_mapping().values())),
        "metric_calls": state.total_num_evals,
        "iterations": state.i + 1,
    }


SEARCHES = {"prompts": prompts, "anything": anything, "seedless": seedless, "dspy": dspy_program}


def main(how: str, folder: str, url: str, seed: str, stop: str = "0") -> int:
    """Run the search, and print the result."""
    genesis_otel.configure(data_dir=folder)
    instrument(task=how)
    original = GEPAEngine._should_stop

    def remember(self: Any, state: Any) -> Any:
        STATES[:] = [state]
        return original(self, state)

    GEPAEngine._should_stop = remember  # type: ignore[method-assign]
    code = 0
    try:
        SEARCHES[how](Path(folder), url, int(seed), Interrupt(int(stop)))
    except KeyboardInterrupt:
        code = 130
    calls = [each for lm in LMS for each in lm.history]
    used = [
        sum(each.total_tokens_in for each in CLIENTS) + sum(each["usage"]["prompt_tokens"] for each in calls),
        sum(each.total_tokens_out for each in CLIENTS) + sum(each["usage"]["completion_tokens"] for each in calls),
        sum(each.total_cost for each in CLIENTS) + sum(each["cost"] or 0 for each in calls),
    ]
    print(json.dumps({**(of_state(STATES[0]) if STATES else {}), "used": used}))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
