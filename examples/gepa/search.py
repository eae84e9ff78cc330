"""A GEPA search without a network: the prompt gets longer, and longer is better up to a point."""

from __future__ import annotations

from typing import Any, cast

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch

from genesis_otel.instrumentation.gepa import instrument


class LengthAdapter:
    """Scores a prompt by its number of words; each example wants another one."""

    def __init__(self) -> None:
        self.proposals = 0

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        words = len(candidate["prompt"].split())
        scores = [1 / (1 + abs(wanted - words)) for wanted in batch]
        return EvaluationBatch(outputs=scores, scores=scores, trajectories=scores if capture_traces else None)

    def make_reflective_dataset(self, candidate: Any, evaluated: Any, components: list[str]) -> dict[str, Any]:
        return {name: [{"score": score} for score in evaluated.scores] for name in components}

    def propose_new_texts(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        self.proposals += 1
        # Every third proposal is a worse one, which GEPA rejects.
        return {"prompt": "a" if self.proposals % 3 == 0 else candidate["prompt"] + " more"}


def search(run_dir: str | None = None, adapter: Any = None, calls: int = 60, **more: Any) -> Any:
    """Run it, with more of GEPA's arguments if need be; what comes back is GEPA's result."""
    return optimize(
        seed_candidate={"prompt": "Think first"},
        trainset=[4, 6, 8],
        valset=[4, 6, 8],
        adapter=cast(Any, adapter or LengthAdapter()),
        max_metric_calls=calls,
        run_dir=run_dir,
        display_progress_bar=False,
        **more,
    )


if __name__ == "__main__":
    from genesis_otel import configure

    configure()
    instrument(task="prompt_length")
    search()
