"""A search of OpenEvolve in a separate process, for tests/whole/test_openevolve.py: ``openevolve_driver.py HOW FOLDER
URL RUN_ID``.

OpenEvolve takes over the signals and the root logger of its process, and forks, so it does not run in the tests'
process.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openevolve import OpenEvolve, run_evolution  # type: ignore[import-untyped]
from openevolve.config import Config, LLMConfig, LLMModelConfig  # type: ignore[import-untyped]
from openevolve.population import PopulationStrategy  # type: ignore[import-untyped]
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

import genesis_otel
from genesis_otel.demo.evolve import PROBLEM
from genesis_otel.instrumentation.openevolve import instrument

PROGRAM, EVALUATOR = PROBLEM / "initial_program.py", PROBLEM / "evaluator.py"
OBJECTIVES = {"accuracy": "max", "size": "min"}


def config(url: str) -> Any:
    """The configuration of a small search with two workers and two islands."""
    told = Config(
        log_level="WARNING",
        random_seed=3,
        checkpoint_interval=5,
        llm=LLMConfig(
            api_base=url,
            api_key="sk-this-is-a-secret",
            models=[LLMModelConfig(name="gpt-4.1-mini")],
            retries=1,
            retry_delay=0,
        ),
    )
    told.database.num_islands, told.database.migration_interval, told.database.archive_size = 2, 2, 6
    # OpenEvolve copies no program that the other island already has, and the best ones are often on both.
    told.database.migration_rate = 0.6
    told.evaluator.cascade_evaluation, told.evaluator.parallel_evaluations, told.evaluator.max_retries = False, 2, 0
    return told


def forked(folder: Path, url: str, run_id: str) -> None:
    """``run_evolution()`` with forked workers."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id, objectives=OBJECTIVES, llm="openai")
    result = run_evolution(
        str(PROGRAM), str(EVALUATOR), config=config(url), iterations=20, output_dir=str(folder / run_id)
    )
    print(result.best_program.id)


def spawned(folder: Path, url: str, run_id: str) -> None:
    """``OpenEvolve(...)`` called directly with spawned workers, whole programs as answers, our own LLM spans, and
    novelty checks."""
    genesis_otel.configure(data_dir=folder, resource_attributes={"team": "packing"})
    instrument(task="by_hand", run_id=run_id, objectives=OBJECTIVES, llm="genesis")
    told = config(url)
    told.max_tasks_per_child = 4
    told.diff_based_evolution = False
    told.database.embedding_model, told.database.embedding_api_base = "text-embedding-3-small", url
    told.database.similarity_threshold = 0.5
    os.environ["OPENAI_API_KEY"] = "sk-another-secret"
    search = OpenEvolve(str(PROGRAM), str(EVALUATOR), told, output_dir=str(folder / run_id))
    print(asyncio.run(search.run(iterations=8)).id)


def interrupted(folder: Path, url: str, run_id: str) -> None:
    """A search that a signal ends; standard output says when the first children exist."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id)
    told = config(url)

    def say(context: Any) -> int:
        if context.iteration == 7:
            print("running", flush=True)
        return int(context.iteration % 2)

    run_evolution(
        str(PROGRAM), str(EVALUATOR), config=told, iterations=500, output_dir=str(folder / run_id), island_selector=say
    )


def of_twenty(folder: Path, url: str, run_id: str, select: Callable[[Any], int]) -> None:
    """A search of 20 iterations, whose islands `select` chooses."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id)
    run_evolution(
        str(PROGRAM),
        str(EVALUATOR),
        config=config(url),
        iterations=20,
        output_dir=str(folder / run_id),
        island_selector=select,
    )


def forced(folder: Path, url: str, run_id: str) -> None:
    """A search that two signals end: at the second one OpenEvolve exits."""

    def select(context: Any) -> int:
        if context.iteration > 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return 0

    of_twenty(folder, url, run_id, select)


def failing(folder: Path, url: str, run_id: str) -> None:
    """A search that ends with an exception."""

    def select(context: Any) -> int:
        if context.iteration > 6:
            raise LookupError("there is no such island")
        return 0

    of_twenty(folder, url, run_id, select)


def dying(folder: Path, url: str, run_id: str) -> None:
    """A search whose workers are killed by the program that they evaluate."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id)
    evaluator = folder / "deadly_evaluator.py"
    evaluator.write_text(
        "import os\nSEEN = []\n"
        "def evaluate(path):\n    SEEN.append(path)\n    if len(SEEN) > 2:\n        os._exit(9)\n    return {'combined_score': 1.0}\n"
    )
    run_evolution(str(PROGRAM), str(evaluator), config=config(url), iterations=12, output_dir=str(folder / run_id))


class Broken(SpanProcessor):
    """Raises whenever it is called."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Raise."""
        raise RuntimeError("telemetry is broken")

    def on_end(self, span: ReadableSpan) -> None:
        """Raise."""
        raise RuntimeError("telemetry is broken")


def broken(folder: Path, url: str, run_id: str) -> None:
    """A search with telemetry that raises at every span."""
    provider = TracerProvider()
    provider.add_span_processor(Broken())
    trace.set_tracer_provider(provider)
    instrument(run_id=run_id, objectives=OBJECTIVES, llm="genesis")
    result = run_evolution(
        str(PROGRAM), str(EVALUATOR), config=config(url), iterations=20, output_dir=str(folder / run_id)
    )
    kept = folder / run_id / "checkpoints" / "checkpoint_20" / "programs"
    programs = [json.loads(each.read_text()) for each in kept.iterdir()]
    # A program that failed has no score.
    scores = [each["metrics"].get("combined_score", 0.0) for each in programs]
    print(len(programs), max(scores), result.best_score)


def beginning(folder: Path, url: str, run_id: str) -> None:
    """The first part of a search, which leaves checkpoints."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id, objectives=OBJECTIVES, llm="genesis")
    asyncio.run(
        OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / "parts")).run(iterations=10)
    )


def stopping(folder: Path, url: str, run_id: str) -> None:
    """A search that stops when its budget is spent; it prints OpenEvolve's best program, and those of the checkpoint
    that was saved."""
    genesis_otel.configure(data_dir=folder, budget=0.004, stop_over_budget=True)
    instrument(run_id=run_id, llm="genesis")
    result = run_evolution(
        str(PROGRAM), str(EVALUATOR), config=config(url), iterations=500, output_dir=str(folder / run_id)
    )
    (latest,) = sorted((folder / run_id / "checkpoints").iterdir(), key=lambda each: int(each.name.split("_")[1]))[-1:]
    programs = [json.loads(each.read_text()) for each in (latest / "programs").iterdir()]
    print(json.dumps({"best": result.best_program.id, "programs": [each["id"] for each in programs]}))


def continuing(folder: Path, url: str, run_id: str) -> None:
    """The same search, continued from there with a larger budget."""
    genesis_otel.configure(data_dir=folder, budget=100, stop_over_budget=True)
    instrument(llm="genesis")
    output = folder / "stopping"
    (latest,) = sorted((output / "checkpoints").iterdir(), key=lambda each: int(each.name.split("_")[1]))[-1:]
    search = OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(output))
    asyncio.run(search.run(iterations=3, checkpoint_path=str(latest)))


def resuming(folder: Path, url: str, run_id: str) -> None:
    """The second part: it continues from the first checkpoint, and gets no run id."""
    genesis_otel.configure(data_dir=folder)
    instrument(objectives=OBJECTIVES, llm="genesis")
    search = OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / "parts"))
    asyncio.run(search.run(iterations=7, checkpoint_path=str(folder / "parts" / "checkpoints" / "checkpoint_5")))


def afresh(folder: Path, url: str, run_id: str) -> None:
    """A new search in the same folder, which loads nothing."""
    genesis_otel.configure(data_dir=folder)
    instrument(task="afresh", objectives=OBJECTIVES, llm="genesis")
    asyncio.run(
        OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / "parts")).run(iterations=2)
    )


def below(folder: Path, url: str, run_id: str) -> None:
    """A search whose scores are all below 0, whose seed alone reaches the target, and some of whose evaluations return no metrics;
    its controller is then told to run again, and continues. It prints OpenEvolve's best program, and the last iteration."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id, llm="genesis")
    evaluator = folder / "evaluator_below.py"
    evaluator.write_text(
        "import multiprocessing\nSEEN = []\n"
        "def evaluate(path):\n    SEEN.append(path)\n"
        "    if multiprocessing.parent_process() is None:\n        return {'combined_score': -0.5}\n"
        "    return {} if len(SEEN) % 2 == 0 else {'combined_score': -float(len(open(path).read()))}\n"
    )
    search = OpenEvolve(str(PROGRAM), str(evaluator), config(url), output_dir=str(folder / run_id))
    asyncio.run(search.run(iterations=12, target_score=-0.6))
    best = asyncio.run(search.run(iterations=5, target_score=-0.6))
    print(json.dumps({"best": best.id, "last": search.database.last_iteration}))


JUDGING = """
import os
import openai
from genesis_otel import spans
from genesis_otel.demo.circle_packing import evaluator as packing

SEEN = []

def evaluate(path):
    SEEN.append(path)
    with openai.OpenAI(api_key="none", base_url=os.environ["JUDGE"], max_retries=0) as judge:
        try:
            judge.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "How good is it?"}])
        except openai.APIStatusError:
            pass
    with spans.llm_call("own-judge", messages="And how short?", role="judge") as call:
        call.response("Very.", cost=0.25)
    spans.action("checked", {})
    metrics = packing.evaluate(path)
    if len(SEEN) == 2:
        raise ArithmeticError("the second one of this worker")
    return metrics
"""


def judging(folder: Path, url: str, run_id: str) -> None:
    """A search whose evaluator calls models itself, and records something, in forked or spawned workers; it prints how many
    evaluations there were."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id)
    os.environ["JUDGE"] = url
    evaluator = folder / "evaluator_judging.py"
    evaluator.write_text(JUDGING)
    told = config(url)
    told.max_tasks_per_child = 3 if "spawned" in run_id else None
    search = OpenEvolve(str(PROGRAM), str(evaluator), told, output_dir=str(folder / run_id))
    asyncio.run(search.run(iterations=8))


def rejecting(folder: Path, url: str, run_id: str) -> None:
    """A search that admits every second child only; it prints those that it did not admit."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id, llm="genesis")
    asked: list[str] = []

    def admit(snapshot: Any, program: Any, island: int) -> bool:
        if program.parent_id is not None and not program.metadata.get("migrant"):
            asked.append(program.id)
        return program.id not in asked[1::2]

    told = config(url)
    strategy = PopulationStrategy(admit=admit)
    search = OpenEvolve(
        str(PROGRAM), str(EVALUATOR), told, output_dir=str(folder / run_id), population_strategy=strategy
    )
    asyncio.run(search.run(iterations=8))
    print(json.dumps(asked[1::2]))


def reopening(folder: Path, url: str, run_id: str) -> None:
    """A new search whose database is the checkpoint of a search that was recorded (``db_path``)."""
    genesis_otel.configure(data_dir=folder)
    instrument(llm="genesis")
    told = config(url)
    told.database.db_path = str(folder / "parts" / "checkpoints" / "checkpoint_10")
    search = OpenEvolve(str(PROGRAM), str(EVALUATOR), told, output_dir=str(folder / "parts"))
    asyncio.run(search.run(iterations=3))


def restoring(folder: Path, url: str, run_id: str) -> None:
    """A search that continues, as another run, from a checkpoint of a search that was not recorded; it prints the checkpoint's
    programs, and the best one of all."""
    search = OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / run_id))
    asyncio.run(search.run(iterations=10))
    latest = folder / run_id / "checkpoints" / "checkpoint_10"
    kept = folder / "unrecorded"
    shutil.copytree(latest, kept)
    programs = [json.loads(each.read_text()) for each in (latest / "programs").iterdir()]
    genesis_otel.configure(data_dir=folder)
    instrument(run_id=run_id, objectives=OBJECTIVES, llm="genesis")
    again = OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / run_id))
    best = asyncio.run(again.run(iterations=2, checkpoint_path=str(latest)))
    print(json.dumps({"programs": programs, "best": best.id}))


def restoring_again(folder: Path, url: str, run_id: str) -> None:
    """The same run, once more from that checkpoint."""
    genesis_otel.configure(data_dir=folder)
    instrument(run_id="restoring", objectives=OBJECTIVES, llm="genesis")
    again = OpenEvolve(str(PROGRAM), str(EVALUATOR), config(url), output_dir=str(folder / run_id))
    asyncio.run(again.run(iterations=2, checkpoint_path=str(folder / "unrecorded")))


if __name__ == "__main__":
    how, folder, url, run_id = sys.argv[1:]
    {
        each.__name__: each
        for each in (
            forked,
            spawned,
            interrupted,
            failing,
            forced,
            dying,
            broken,
            beginning,
            resuming,
            afresh,
            stopping,
            continuing,
            below,
            judging,
            rejecting,
            reopening,
            restoring,
            restoring_again,
        )
    }[how](Path(folder), url, run_id)
