"""A search of OpenEvolve with the test's settings, which logs what it does without using this package:
``openevolve_settings.py FOLDER URL RUN_ID`` with the settings as JSON on standard input.

``added.jsonl`` has every program as OpenEvolve adds it to its database, with the cell and whether it was accepted;
``failures.jsonl`` every iteration without a program, ``asked.jsonl`` every call of OpenEvolve's client (except those of
spawned workers); ``final.json`` the database at the end.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

from openevolve import OpenEvolve  # type: ignore[import-untyped]
from openevolve.config import Config  # type: ignore[import-untyped]
from openevolve.database import ProgramDatabase  # type: ignore[import-untyped]
from openevolve.llm.openai import OpenAILLM  # type: ignore[import-untyped]
from openevolve.process_parallel import ProcessParallelController  # type: ignore[import-untyped]

EVALUATOR = Path(__file__).with_name("openevolve_evaluator.py")


def note(path: Path, record: dict[str, Any]) -> None:
    """Append a line in one write, since workers write too."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (json.dumps(record, default=str) + "\n").encode())
    os.close(file)


def write_down(folder: Path) -> None:
    """Log what OpenEvolve does, beneath this package's wrappers."""
    add, submit, call = ProgramDatabase.add, ProcessParallelController._submit_iteration, OpenAILLM._call_api

    @functools.wraps(add)
    def added(self: Any, program: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            admitted = add(self, program, *args, **kwargs)
        except Exception as error:
            # A grid over a metric that a failed program lacks: OpenEvolve drops the program.
            told = {"code": program.code, "metrics": program.metrics}
            note(folder / "failures.jsonl", {"iteration": program.iteration_found, "error": str(error), **told})
            raise
        record = program.to_dict() | {"embedding": None, "admitted": admitted is not None}
        held = [
            (island, key)
            for island, cells in enumerate(self.island_feature_maps)
            for key, holder in cells.items()
            if holder == program.id
        ]
        note(folder / "added.jsonl", record | {"held": held})
        return admitted

    @functools.wraps(submit)
    def submitted(self: Any, iteration: int, *args: Any, **kwargs: Any) -> Any:
        future = submit(self, iteration, *args, **kwargs)

        def done(future: Any) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            result = future.result()
            if result.child_program_dict is None:
                told = {name: getattr(result, name, None) for name in ("error", "token_usage", "evolution_mode")}
                note(folder / "failures.jsonl", {"iteration": iteration, **told})
            else:
                usage = {"iteration": iteration, "token_usage": result.token_usage, "artifacts": result.artifacts}
                note(folder / "children.jsonl", usage)

        if future is not None:
            future.add_done_callback(done)
        return future

    @functools.wraps(call)
    async def asked(self: Any, params: Any) -> Any:
        try:
            answer = await call(self, params)
        except Exception as error:
            note(folder / "asked.jsonl", {"error": type(error).__name__})
            raise
        note(folder / "asked.jsonl", {"usage": self.last_usage})
        return answer

    ProgramDatabase.add, ProcessParallelController._submit_iteration = added, submitted
    OpenAILLM._call_api = asked


async def search(settings: dict[str, Any], folder: Path, told: Any) -> None:
    from genesis_otel.demo.evolve import PROBLEM

    run = OpenEvolve(str(PROBLEM / "initial_program.py"), str(EVALUATOR), told, output_dir=str(folder / "out"))
    best = await run.run(
        iterations=settings["iterations"],
        target_score=settings.get("target"),
        checkpoint_path=settings.get("checkpoint"),
    )
    final = {
        "best": best.id if best else None,
        "programs": {name: program.to_dict() | {"embedding": None} for name, program in run.database.programs.items()},
        "last": run.database.last_iteration,
    }
    (folder / "final.json").write_text(json.dumps(final, default=str))


def main() -> None:
    folder, url, run_id = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    settings = json.load(sys.stdin)
    write_down(folder)
    import genesis_otel
    from genesis_otel.instrumentation.openevolve import instrument

    told = Config.from_dict(settings["config"])
    llm = told.llm
    for model in (llm, *llm.models, *llm.evaluator_models):
        model.api_base, model.api_key, model.retries, model.retry_delay = url, "sk-test", 1, 0
    if told.database.embedding_model:
        told.database.embedding_api_base = url
    genesis_otel.configure(data_dir=folder.parent)
    instrument(run_id=run_id or None, **settings.get("instrument", {}))
    if settings.get("announce"):
        print("running", flush=True)
    asyncio.run(search(settings, folder, told))


if __name__ == "__main__":
    main()
