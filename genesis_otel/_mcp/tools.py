"""The tools that an agent can call: each reads the store and returns a bounded answer.

In: settings, and the arguments of a call, which the SDK has checked against the signature. Out: an answer as JSON; a tool's docstring is
its description for the agent. On failure: what the store, or a wrong argument, raises; the server explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field

from genesis_otel import queries
from genesis_otel._mcp.bounds import ROWS, bounded, fitting, piece
from genesis_otel._read import health, program
from genesis_otel._read.client import individual_id_of, reader, run_id_of, stream
from genesis_otel._settings import Settings

CALLS = 20
"""Maximum calls of an individual in an answer."""

MORE_CALLS = (
    "there are more calls: `query` with `individual_prompts`, few `characters` and many `calls` lists more of them"
)

Run = Annotated[str, Field(description="The run: its id, a prefix of it, latest, or a task (its newest run).")]
Status = Literal["", "running", "stalled", "completed", "stopped", "failed", "open"]
Individual = Annotated[str, Field(description="The individual: its id, a prefix of it, or best.")]
From = Annotated[int, Field(ge=0, description="The first character to return, to continue a truncated answer.")]


class Tools:
    """The tools on one store; each call has its own client, so that one that waits holds up no other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self) -> tuple[Callable[..., dict[str, Any]], ...]:
        """The tools, in the order in which an agent sees them."""
        return (
            *(self.runs, self.show_run, self.show_individual, self.program),
            *(self.prompts, self.diff, self.list_queries, self.query),
        )

    def runs(
        self,
        task: Annotated[str, Field(description="Only runs of this task.")] = "",
        status: Annotated[Status, Field(description="Only runs with this status; open means running or stalled.")] = "",
        tag: Annotated[str, Field(description="Only runs with this tag.")] = "",
        limit: Annotated[int, Field(ge=1, le=ROWS, description="Return only the newest N runs.")] = 20,
    ) -> dict[str, Any]:
        """List runs, newest first: status, best score, cost, progress."""
        with reader(self._settings) as client:
            found = health.runs(
                client, self._settings.stalled_after, task=task, status=status, tag=tag, limit=limit + 1
            )
        return bounded(found[:limit], more=len(found) > limit)

    def show_run(self, run: Run = queries.LATEST) -> dict[str, Any]:
        """Show everything known about one run: status, error, scores, counts, cost."""
        with reader(self._settings) as client:
            return bounded([health.begun(client, run_id_of(client, run), self._settings.stalled_after)])

    def show_individual(self, run: Run = queries.LATEST, individual: Individual = "best") -> dict[str, Any]:
        """Show an individual: scores, metrics, parents, what changed, cost, error. For its program, use `program`."""
        return {"individual": fitting({**self._individual(run, individual), "code": "see the tool `program`"})}

    def program(self, run: Run = queries.LATEST, individual: Individual = "best", begin: From = 0) -> dict[str, Any]:
        """Read the program of an individual."""
        found = self._individual(run, individual)
        return {
            "run_id": found["run_id"],
            "individual_id": found["individual_id"],
            **piece(program.code_of(found), begin),
        }

    def prompts(self, run: Run = queries.LATEST, individual: Individual = "best") -> dict[str, Any]:
        """Read the prompts that models got for an individual, and their answers."""
        with reader(self._settings) as client:
            run_id = run_id_of(client, run)
            calls = program.calls(client, run_id, individual_id_of(client, run_id, individual), most=CALLS + 1)
        listed = [
            {**call, "messages": [{"role": role, "text": text} for role, text in program.messages_of(call["messages"])]}
            for call in calls
        ]
        return {"run_id": run_id, **bounded(listed[:CALLS], more=len(listed) > CALLS, rest=MORE_CALLS)}

    def diff(
        self,
        individual: Individual = "best",
        other: Annotated[str, Field(description="The individual to compare with; by default the parent.")] = "",
        run: Run = queries.LATEST,
        begin: From = 0,
    ) -> dict[str, Any]:
        """Show what changed between two programs of a run, as a unified diff."""
        with reader(self._settings) as client:
            run_id = run_id_of(client, run)
            after = program.individual(client, run_id, individual_id_of(client, run_id, individual))
            if not other and not after["parent_ids"]:
                raise ValueError(f"{after['individual_id']} has no parent: name another individual to compare it with")
            name = individual_id_of(client, run_id, other) if other else after["parent_ids"][0]
            before = program.individual(client, run_id, name)
        for each in (before, after):
            program.code_of(each)
        lines = "\n".join(program.difference(before, after))
        return {"run_id": run_id, "before": name, "after": after["individual_id"], **piece(lines, begin)}

    def list_queries(self) -> dict[str, Any]:
        """List the named queries with their parameters: latency, cost, lineage, failures, fronts, islands, and more."""
        return {"queries": [_described(queries.load(name)) for name in queries.names()]}

    def query(
        self,
        name: Annotated[str, Field(description="A name from `list_queries`.")],
        run: Annotated[
            str, Field(description="The run, as for other tools; by default what the query says: latest, or all runs.")
        ] = "",
        parameters: Annotated[
            dict[str, Any] | None, Field(description="The query's other parameters, by name.")
        ] = None,
        limit: Annotated[int, Field(ge=1, le=ROWS, description="Maximum number of rows to return.")] = 100,
    ) -> dict[str, Any]:
        """Run one of the named queries."""
        named = queries.load(name)
        given = dict(parameters or {})
        if run and given.get("run_id", run) not in (run, "", None):
            raise queries.ParameterError(f"two runs are given, {run!r} and, as run_id, {given['run_id']!r}: give one")
        if not given.get("run_id"):
            # Without a run, the query's own default counts: of one about all runs, the answer is that of the command.
            given.pop("run_id", None)
            given |= {"run_id": run} if run else {}
        with reader(self._settings) as client:
            values = queries.values(named, given | health.known(client, named, given, self._settings.stalled_after))
            if values.get("run_id"):
                values["run_id"] = run_id_of(client, str(values["run_id"]))
            about = {"run_id": values["run_id"]} if values.get("run_id") else {}
            return {**about, **_first(client, named.sql, values, limit)}

    def _individual(self, run: str, individual: str) -> dict[str, Any]:
        with reader(self._settings) as client:
            run_id = run_id_of(client, run)
            return program.individual(client, run_id, individual_id_of(client, run_id, individual))


def _first(client: Any, sql: str, parameters: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The first rows of a statement; the rest is not read."""
    rows: list[dict[str, Any]] = []
    with stream(client, sql, parameters) as (names, blocks):
        for row in chain.from_iterable(blocks):
            if len(rows) == limit:
                return bounded(rows, more=True)
            rows.append(dict(zip(names, row, strict=True)))
    return bounded(rows)


def _described(named: queries.Query) -> dict[str, Any]:
    parameters = {
        each.name: f"{each.meaning} ({each.type}{'' if each.default is None else f', by default {each.default!r}'})"
        for each in named.parameters
    }
    return {"name": named.name, "title": named.title, "description": named.description, "parameters": parameters}
