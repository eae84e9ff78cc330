"""A search without a framework: hill climbing on a factor in a line of code. It needs neither a model nor a network."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import genesis_otel
from genesis_otel.spans import Individual

SEED = "def f(n):\n    return round(1.0 * n)\n"
EVALUATE = "\nprint(sum(abs(f(n) - round(1.618 * n)) for n in range(20)))\n"
BROKEN = 5
"""Each proposal of this turn does not compile."""


def propose(turn: int, chance: random.Random) -> str:
    """What stands in the place of a model."""
    factor = "1.7.1" if turn % BROKEN == 0 else f"{chance.uniform(1, 2):.2f}"
    return f"def f(n):\n    return round({factor} * n)\n"


def evaluate(code: str, individual: Individual) -> float | None:
    """Run a program in a process of its own; its score, or None if it failed."""
    individual.record(code=code)
    with individual.evaluation() as evaluation:
        environment = {**os.environ, **individual.environ()}
        done = subprocess.run(
            [sys.executable, "-c", code + EVALUATE], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            evaluation.fail(done.stderr.strip().splitlines()[-1])
            individual.fail("its evaluation failed")
            return None
        score = 1 / (1 + int(done.stdout))
        evaluation.result(correct=True, combined_score=score)
    individual.record(fitness=score, metrics={"accuracy": score, "size": len(code)})
    return score


def search(generations: int = 4, children: int = 3, seed: int = 0) -> str:
    """Run it; the id of the run."""
    chance, turn = random.Random(seed), 0
    told = {"generations": generations, "children": children, "seed": seed}
    with genesis_otel.run("golden_ratio", config=told, objectives={"accuracy": "max", "size": "min"}) as run:
        with run.generation(0) as generation, generation.individual(mutation_type="init") as individual:
            best, parent = evaluate(SEED, individual) or 0.0, (individual.id, SEED)
        for number in range(1, generations):
            with run.generation(number) as generation:
                mother, code = parent
                for _ in range(children):
                    turn += 1
                    with generation.individual(parent_id=mother) as individual:
                        # The call of your client stands here; with `genesis_otel.instrument()` it is recorded by itself.
                        with individual.llm_call("stand-in", messages=f"Improve this:\n{code}") as call:
                            child = propose(turn, chance)
                            call.response(child, cost=0.0)
                        score = evaluate(child, individual)
                        if score is not None and score > best:
                            best, parent = score, (individual.id, child)
    return run.id


if __name__ == "__main__":
    genesis_otel.configure()
    search()
