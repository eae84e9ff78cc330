"""Runs, generations, individuals, evaluations and LLM calls as OpenTelemetry spans.

In: what a search knows, as it learns it. Out: spans with the names of :mod:`genesis_otel.attributes`, for whatever
tracer provider the process has; without one, nothing happens and nothing is kept. On failure: nothing here raises into a
search: a value of the wrong type is kept as text or dropped, with one warning.

Each function starts a span at once and returns a handle. As a ``with`` (or ``async with``) block, a handle becomes current, records an
exception and ends its span; or end it yourself with ``end()``, from any thread. Threads do not inherit the current handle: pass handles
on, or attach ``handle.context``. Times are nanoseconds (int), seconds (float) or datetimes.

>>> from genesis_otel import spans
>>> with spans.run("circle_packing", objectives={"accuracy": "max", "code_size": "min"}) as run:
...     with run.generation(0) as generation:
...         with generation.individual(mutation_type="init") as individual:
...             with individual.llm_call("gpt-4o", provider="openai", messages="Improve this.") as call:
...                 call.response("Done.", input_tokens=100, output_tokens=20)
...             with individual.evaluation() as evaluation:
...                 evaluation.result(correct=True, combined_score=0.9)
...             individual.record(fitness=0.9, metrics={"accuracy": 0.9}, code="print()")
"""

from __future__ import annotations

from genesis_otel._emit.actions import action, lineage, pareto_front
from genesis_otel._emit.belonging import at
from genesis_otel._emit.context import attached, environ, from_environment
from genesis_otel._emit.evaluation import Evaluation, evaluation
from genesis_otel._emit.generation import Generation, generation
from genesis_otel._emit.individual import Individual, individual
from genesis_otel._emit.llm_call import LLMCall, llm_call
from genesis_otel._emit.run import Run, run

__all__ = [
    "Evaluation",
    "Generation",
    "Individual",
    "LLMCall",
    "Run",
    "action",
    "at",
    "attached",
    "environ",
    "evaluation",
    "from_environment",
    "generation",
    "individual",
    "lineage",
    "llm_call",
    "pareto_front",
    "run",
]
