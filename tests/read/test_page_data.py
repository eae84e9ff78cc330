"""The page's queries on the real engine: who led however late rows came, islands, examples, model choices, and runs without a beginning."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from genesis_otel import queries, spans
from genesis_otel._read import page_data as data
from genesis_otel._read import report_data
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.support.recording import attributes_of, record
from tests.support.searched import (
    EMBED_COST,
    FACTS,
    MODELS,
    NOVELTY_COST,
    RUN,
    SECOND,
    children,
    cost,
    delta,
    search_spans,
)

BEGAN = 1_700_000_000 * SECOND
Connect = Callable[[], Client]


def export(connect: Connect, ended: Sequence[ReadableSpan]) -> None:
    """Insert spans into the store."""
    exporter = ClickHouseSpanExporter(connect)
    assert exporter.export(ended) is SpanExportResult.SUCCESS
    exporter.shutdown()


def scored(run_id: str, direction: str, scores: dict[str, tuple[float, float | None]]) -> Sequence[ReadableSpan]:
    """Individuals by id: when each finished, in seconds, and its score."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("climbing", run_id=run_id, direction=direction, start_time=BEGAN)
        for name, (finished, score) in scores.items():
            one = spans.individual(name, generation=0, run=run, start_time=BEGAN)
            one.record(fitness=score)
            one.end(BEGAN + int(finished * SECOND))
        return recorded.spans


def told(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[float | None, bool]]:
    return {row["individual_id"]: (row["best_so_far"], bool(row["leads"])) for row in rows}


# --- what is new ------------------------------------------------------------------------------------------------------


def test_what_came_is_told_by_one_cheap_answer(store: Client, connect: Connect) -> None:
    """It is the same as long as nothing comes, of this run; a new individual, call or action each changes its own text, and of
    nothing it is another than of something."""
    export(connect, search_spans())
    before = data.arrivals(store, RUN)
    export(connect, search_spans("another"))
    assert data.arrivals(store, RUN) == before

    def told_by(name: str, value: str | None = None) -> set[str]:
        earlier = data.arrivals(store, RUN)
        again = [span for span in search_spans() if name in attributes_of(span)]
        export(connect, [span for span in again if value in (None, attributes_of(span)[name])][:1])
        return {name for name, text in data.arrivals(store, RUN).items() if text != earlier[name]}

    assert told_by("genesis.record", "individual") == {"individuals"}
    assert told_by("gen_ai.request.model") == {"calls"}
    for other in ("generation", "run", "action"):
        assert told_by("genesis.record", other) == {"others"}
    assert set(data.arrivals(store, "nobody").values()) == {""} and "" not in before.values()


# --- who is best ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "sign"), [("max", 1.0), ("min", -1.0)])
def test_who_leads_is_right_however_late_one_comes(
    store: Client, connect: Connect, direction: str, sign: float
) -> None:
    """What is new since a cursor, merged with what was known before, equals the whole: best so far and who leads, in either direction,
    even if an individual reaches the store after others that finished later. Those that finished before it are not sent again."""
    first = {"a": (1.0, 0.5), "b": (2.0, 0.7), "failed": (2.2, None), "c": (3.0, 0.75), "d": (4.0, 0.9)}
    late = {"e": (2.5, 0.8), "f": (5.0, 0.8), "g": (6.0, 0.95)}
    signed = [{name: (at, score and sign * score) for name, (at, score) in each.items()} for each in (first, late)]
    export(connect, scored("climb", direction, signed[0]))
    before = queries.ask(store, "individuals_since", run_id="climb")
    leaders = [row["individual_id"] for row in sorted(before, key=lambda row: row["timestamp"]) if row["leads"]]
    assert leaders == ["a", "b", "c", "d"]
    since = max(int(row["ingested_at"].timestamp() * 1000) for row in before)
    export(connect, scored("climb", direction, signed[1]))
    whole = told(queries.ask(store, "individuals_since", run_id="climb"))
    assert {name for name, (_, leads) in whole.items() if leads} == {"a", "b", "e", "d", "g"}
    assert whole["c"] == (sign * 0.8, False)
    news = queries.ask(store, "individuals_since", run_id="climb", since=since, leaders=leaders)
    assert {row["individual_id"] for row in news} == {"c", "d", "e", "f", "g"}
    assert told(before) | told(news) == whole
    # The last leaders suffice; if an individual came before the first of them, all are sent.
    assert told(queries.ask(store, "individuals_since", run_id="climb", since=since, leaders=["d"])) == whole
    newest = max(int(row["ingested_at"].timestamp() * 1000) for row in news)
    assert (
        queries.ask(store, "individuals_since", run_id="climb", since=newest, leaders=["a", "b", "e", "d", "g"]) == []
    )


def test_what_was_known_and_what_is_new_are_the_whole(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes in whichever order: a survivor's copy under its own id and then an individual that finished in between, an older row
    of one, a parent that is told long after its child, one that is evaluated again and has lost its metrics, examples and program."""
    monkeypatch.setattr(data, "OVERLAP", 0)
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    run = spans.run("changing", run_id="changing", start_time=BEGAN)
    rich: dict[str, Any] = {"metrics": {"size": 1.0, "scores": {"x": 0.5}}, "code": "one two"}
    other: dict[str, Any] = {"metrics": {"size": 7.0, "depth": 3.0, "scores": {"y": 0.1}}, "code": "three"}

    def finish(name: str, finished: float, score: float | None, how: str = "diff", **told: Any) -> None:
        one = spans.individual(name, mutation_type=how, generation=0, run=run, lineage=False, start_time=BEGAN)
        one.record(fitness=score, **told)
        one.end(BEGAN + int(finished * SECOND))

    def begin() -> None:
        finish("best", 1, 0.9, **rich)
        finish("same", 2, 0.5, **rich)
        finish("child", 3, 0.4)

    def go_on() -> None:
        finish("same", 1.5, 0.1, **other)
        finish("fresh", 7, 0.3)

    steps: list[Callable[[], None]] = [
        begin,
        lambda: finish("same", 6, 0.5, "copy", **other),
        lambda: finish("between", 5, 0.6, **rich),
        go_on,
        lambda: spans.lineage("child", "same", generation=0, edit_summary="why", run_id="changing"),
        lambda: finish("same", 8, 0.95),
        lambda: finish("between", 9, None, correct=False, **other),
    ]
    asked: dict[str, Callable[..., dict[str, Any]]] = {
        "individuals": data.individuals,
        **{"metrics": data.metrics, "vectors": data.vectors, "examples": data.examples},
    }
    known: dict[str, dict[str, Any]] = {name: {} for name in asked}
    since = dict.fromkeys(asked, 0)
    for step in steps:
        step()
        export(connect, recorded.spans)
        recorded.exporter.clear()
        for name, ask in asked.items():
            ones = sorted(known["individuals"].values(), key=lambda one: (one["timestamp"], one["individual_id"]))
            leaders = [one["individual_id"] for one in ones if one["leads"]] if name == "individuals" else None
            news = ask(store, "changing", since[name], **({} if leaders is None else {"leaders": leaders}))
            since[name] = news["since"]
            known[name] |= by_id(news)
            assert told_anything(known[name]) == told_anything(by_id(ask(store, "changing"))), name
            assert not by_id(ask(store, "changing", since[name])), "nothing is sent twice"
    child, same = (known["individuals"][name] for name in ("child", "same"))
    assert (child["parents"], child["edit_summary"]) == (["same"], "why") and same["score"] == 0.95
    assert told_anything(known["metrics"]).keys() == {"best", "between"}
    assert told_anything(known["vectors"]).keys() == {"best", "between"}


def by_id(news: dict[str, Any]) -> dict[str, Any]:
    """The rows of an answer by their individual."""
    columns = {**news["columns"], **news.get("metrics", {})}
    return {
        name: {each: columns[each][at] for each in columns} for at, name in enumerate(columns.get("individual_id", ()))
    }


def told_anything(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows without unknown values; those that say nothing of their individual are left out."""
    known = {
        name: {each: value for each, value in row.items() if value not in (None, "", [])} for name, row in rows.items()
    }
    return {name: row for name, row in known.items() if row.keys() - {"individual_id", "timestamp"}}


@pytest.mark.parametrize(("direction", "sign"), [("max", 1), ("min", -1)])
def test_the_list_and_the_run_tell_the_same_gain(store: Client, connect: Connect, direction: str, sign: float) -> None:
    """A run's gain is the same in the list of runs and on its own page: from the first score to the best, in its direction."""
    export(
        connect, scored("climb", direction, {"a": (1.0, sign * 0.5), "b": (2.0, sign * 0.4), "c": (3.0, sign * 0.75)})
    )
    ((_, listed),) = data.sparks(store, ["climb"]).items()
    assert listed["gained"] == pytest.approx(0.25) == data.run(store, "climb", 900)["gained"]


def test_a_run_whose_beginning_is_missing_is_told_by_its_rows(store: Client, connect: Connect) -> None:
    """With individuals alone it has no status and no task, but everything that its rows say; it is among the runs unless they are filtered,
    and a report of it can be written. For a run without any row nothing is returned."""
    export(connect, [span for span in search_spans() if attributes_of(span).get("genesis.record") == "individual"])
    run = data.run(store, RUN, 900)
    assert (run["status"], run["task_name"], run["direction"]) == ("", "", "")
    assert (run["individuals"], run["failed_individuals"], run["best_score"]) == (len(FACTS), 1, 0.97)
    assert run["start_time"] > 0
    export(connect, search_spans("whole"))
    listed = {row["run_id"]: row for row in data.runs(store, 900, limit=10)}
    assert {name: row["status"] for name, row in listed.items()} == {RUN: "", "whole": "completed"}
    same = ("individuals", "generations", "incorrect", "best_score", "best_individual", "gained", "cost", "unpriced")
    assert {name: listed[RUN][name] for name in same if name in run} == {
        name: run[name] for name in same if name in run
    }
    assert [row["run_id"] for row in data.runs(store, 900, status="completed")] == ["whole"]
    gathered = report_data.gather(store, RUN, top=1)
    assert gathered["answers"]["run"]["individuals"] == len(FACTS)
    with pytest.raises(LookupError, match="no rows of the run nobody"):
        data.run(store, "nobody", 900)


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def varied(store: Client, connect: Connect) -> Client:
    """A search with two islands, examples, and a choice of models."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("varied", run_id="varied", start_time=BEGAN)

        def individual(
            name: str, at: int, island: str, score: float, parent: str = "", how: str = "diff", **told: Any
        ) -> None:
            one = spans.individual(name, parent_id=parent, mutation_type=how, generation=at, run=run, start_time=BEGAN)
            one.record(fitness=score, island=island, **told)
            one.end(BEGAN + at * SECOND)

        individual("seed", 1, "0", 0.3, how="init", metrics={"scores": {"x": 0.1, "y": 0.5}, "size": 7, "name": "seed"})
        individual("copy", 2, "1", 0.3, "seed", how="migration")
        individual(
            "child", 3, "1", 0.6, "copy", metrics={"scores": {"x": 0.9, "y": 0.3}, "size": 9, "odd": float("nan")}
        )
        individual("crossed", 4, "0", 0.5, "child")
        individual("lesser", 5, "1", 0.4, "child")
        for at, chance in ((2, 0.5), (4, 0.8)):
            models = {"m": {"n_submitted": at, "posterior": chance}, "n": {"n_submitted": 1.0, "posterior": 1 - chance}}
            details = {"strategy": "AsymmetricUCB", "models": models}
            spans.action("model_selection", details, run=run, generation=at, time=BEGAN + at * SECOND)
        moves = [{"individual_id": "lesser", "from": 1, "to": 0}, {"individual_id": "copy", "island": 1}]
        spans.action("migration", {"moves": moves}, run=run, generation=6, time=BEGAN + 6 * SECOND)
        run.end(end_time=BEGAN + 7 * SECOND)
        export(connect, recorded.spans)
    return store


def test_islands_have_their_leaders_and_who_came(varied: Client) -> None:
    """The best of each island over time, without copies; who was copied, who moved, and whose parent is on another island, each with
    origin, destination and score."""
    islands = data.islands(varied, "varied")
    assert [(row["island"], row["individual_id"], row["best_so_far"]) for row in islands["island_leaders"]] == [
        ("0", "seed", 0.3),
        ("1", "child", 0.6),
        ("0", "crossed", 0.5),
    ]
    names = ("kind", "individual_id", "from_island", "to_island", "score")
    assert [tuple(row[name] for name in names) for row in islands["migrations"]] == [
        ("moved", "lesser", "1", "0", 0.4),
        ("crossed", "crossed", "1", "0", 0.5),
        ("copied", "copy", "0", "1", 0.3),
    ]
    assert {row["island"] for row in islands["islands"]} == {"0", "1"}


def test_scores_of_examples_and_metrics_come_since_a_cursor(varied: Client) -> None:
    """Each individual's score per example, and its numbers, one column per metric, without non-numbers; nothing is sent twice."""
    examples = data.examples(varied, "varied")
    columns = examples["columns"]
    found = zip(*(columns[name] for name in ("individual_id", "examples", "scores")), strict=True)
    assert list(found) == [("seed", ["x", "y"], [0.1, 0.5]), ("child", ["x", "y"], [0.9, 0.3])]
    metrics = data.metrics(varied, "varied")
    assert metrics["columns"] == {"individual_id": ["seed", "child"]}
    assert metrics["metrics"] == {"size": [7.0, 9.0]}
    for ask, told in ((data.examples, examples), (data.metrics, metrics)):
        later = ask(varied, "varied", told["since"] + data.OVERLAP + 1)
        assert later["columns"].get("individual_id", []) == []


def test_programs_are_told_as_vectors_of_their_words(store: Client, connect: Connect) -> None:
    """Of length 1, by the shares of words and numbers whatever their order and the length; the latest program of each individual, none
    where no code with a word was recorded, and nothing is sent twice."""
    programs = {
        "one": "pack(0.25, rows)",
        "moved": "rows, 25 (pack 0)",
        "longer": "pack(0.25, rows)\n" * 500,
        "near": "pack(0.26, rows)",
        "far": "def anneal(): return best",
        "hollow": "(){}\n",
        "without": "",
        "wörter": 'größe = "☃"',
    }
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("mapped", run_id="mapped", start_time=BEGAN)
        for at, (name, program) in enumerate([("far", "an earlier one"), *programs.items()], start=1):
            one = spans.individual(name, generation=0, run=run, start_time=BEGAN)
            one.record(fitness=0.5, code=program or None)
            one.end(BEGAN + at * SECOND)
        export(connect, recorded.spans)
    found = data.vectors(store, "mapped")
    columns = found["columns"]
    vectors = {
        name: [value / 255 for value in base64.b64decode(text)]
        for name, text in zip(columns["individual_id"], columns["vector"], strict=True)
    }
    assert set(vectors) == set(programs)
    assert vectors["hollow"] == vectors["without"] == []
    assert vectors["one"] == vectors["moved"] == vectors["longer"]
    for name, vector in vectors.items():
        if vector:
            assert len(vector) == 32 and math.hypot(*vector) == pytest.approx(1, abs=0.02), name
    assert 0 < math.dist(vectors["one"], vectors["near"]) < math.dist(vectors["one"], vectors["far"])
    assert data.vectors(store, "mapped", found["since"] + data.OVERLAP + 1)["columns"].get("individual_id", []) == []


def test_the_choice_of_models_is_told_over_time(varied: Client) -> None:
    """Each state with every model's quantities, oldest first; if there are many, a selection that always includes the newest."""
    told = data.selection(varied, "varied")["columns"]
    assert told["strategy"] == ["AsymmetricUCB"] * 2 and told["generation"] == [2, 4]
    assert [models["m"]["posterior"] for models in told["models"]] == [0.5, 0.8]
    assert data.selection(varied, "varied", states=1)["columns"]["generation"] == [4]


def test_what_a_search_did_is_told(varied: Client) -> None:
    """Its actions, newest first, without those that another view shows; long details are truncated, and their length is given."""
    (migration,) = data.actions(varied, "varied", characters=10)
    assert migration["action_type"] == "migration" and len(migration["details"]) == 10 < migration["length"]
    assert len(data.actions(varied, "varied", action="model_selection")) == 2


def test_a_report_keeps_the_newest_scores_that_it_has_room_for(varied: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of examples in a file are bounded; what is included is complete."""
    monkeypatch.setattr(report_data, "SCORES", 3)
    kept = report_data.gather(varied, "varied", top=0)["answers"]["run/examples"]["columns"]
    assert kept["individual_id"] == ["child"] and kept["scores"] == [[0.9, 0.3]]


def test_yield_of_models_by_mutation(store: Client, connect: Connect) -> None:
    """How many individuals each model made with each mutation type, how many are better than their parent, what they gained over all
    before them and what they cost: as computed from the facts."""
    export(connect, search_spans())
    expected: dict[tuple[str, str], list[float]] = {}
    so_far = max(fact.fitness or 0 for fact in FACTS if not fact.parents)
    for number, fact in enumerate(children()):
        assert fact.fitness is not None
        gain = max(0.0, fact.fitness - so_far)
        so_far = max(so_far, fact.fitness)
        key = (MODELS[number % 2], fact.how)
        better = sum(delta(fact, parent) > 0 for parent in fact.parents)
        found = (1, len(fact.parents), better, gain > 0, gain, cost(number) + EMBED_COST + NOVELTY_COST)
        expected[key] = [sum(pair) for pair in zip(expected.get(key, [0.0] * 6), found, strict=True)]
    names = ("individuals", "compared", "better", "improvements", "gain", "cost")
    rows = queries.ask(store, "model_mutation_yield", run_id=RUN)
    assert {
        (row["model"], row["mutation_type"]): pytest.approx([row[name] for name in names]) for row in rows
    } == expected
    for row in rows:
        assert row["success_rate"] == row["better"] / row["compared"] and row["unpriced"] == 0
        assert row["gain_per_dollar"] == pytest.approx(row["gain"] / row["cost"])
    # By mutation, it is the same success as without the models.
    by_mutation = {row["mutation_type"]: row for row in queries.ask(store, "mutation_success_rate", run_id=RUN)}
    for how in {row["mutation_type"] for row in rows}:
        of_models = [row for row in rows if row["mutation_type"] == how]
        assert sum(row["compared"] for row in of_models) == by_mutation[how]["total"]
        assert sum(row["better"] for row in of_models) == by_mutation[how]["improvements"]


def test_calls_are_found_by_what_their_prompts_say(store: Client, connect: Connect) -> None:
    """As it was said, not as JSON writes it: paths, quotes, backslashes and line breaks are found, and words that are only JSON's are not.
    The text around it is readable."""
    said = {
        "path": "see src/main.py",
        "quote": 'print("hi")',
        "backslash": "C:\\dir",
        "lines": "one\ntwo",
        "snow": "grüner ☃",
        "tool": [{"role": "assistant", "tool_calls": [{"function": {"name": "grep", "arguments": "{}"}}]}],
    }
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("said", run_id="said", start_time=BEGAN)
        for role, messages in said.items():
            call = run.llm_call("m", messages=messages, role=role, start_time=BEGAN)
            call.response("Done." if role != "tool" else "The user's role.")
            call.end(BEGAN + SECOND)
        export(connect, recorded.spans)

    def found(text: str) -> dict[str, str]:
        return {row["role"]: row["excerpt"] for row in data.found_calls(store, run_id="said", text=text)}

    for role, text in [(role, text) for role, text in said.items() if isinstance(text, str)]:
        told = found(text.upper())
        assert told.keys() == {role} and text in told[role]
    assert found("GREP").keys() == found("role").keys() == {"tool"}
    assert found("content") == found("assistant") == found("src\\/main") == {}


@pytest.mark.parametrize("again", [0.9, None])
def test_the_gain_of_one_that_is_evaluated_again_is_that_of_its_score(
    store: Client, connect: Connect, again: float | None
) -> None:
    """The first time it gained 0.1; what counts is the last time."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("again", run_id="again", start_time=BEGAN)
        for at, (name, score, parents) in enumerate(
            (("mother", 0.5, ()), ("child", 0.6, ["mother"]), ("child", again, ["mother"]))
        ):
            one = spans.individual(name, parents=parents, generation=at, run=run, start_time=BEGAN)
            one.record(fitness=score)
            one.end(BEGAN + (at + 1) * SECOND)
        export(connect, recorded.spans)
    told = data.individual(store, "again", "child")
    assert told["fitness_score"] == again and told["gain"] == (None if again is None else pytest.approx(0.4))


# --- before and during evaluations ------------------------------------------------------------------------------------


def proposed(run_id: str, *, tells: bool = True) -> Sequence[ReadableSpan]:
    """Three proposals: one rejected once and then kept, one given up as not novel, and one whose first patch did not apply; of a search
    that does not tell, only the calls of the judge."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("proposing", run_id=run_id, start_time=BEGAN)
        generation = run.generation(1, start_time=BEGAN)
        for name, similarity, stage in (("kept", 0.8, ""), ("given_up", 1.0, "novelty"), ("applied", None, "")):
            one = generation.individual(name, mutation_type="diff", start_time=BEGAN)
            found = {"max_similarity": similarity, "failure_stage": stage, "archive_inspiration_ids": ["kept"]}
            one.record(metadata={what: value for what, value in found.items() if value} if tells else None)
            if tells:
                action = "novelty_rejected" if similarity else "patch_failed"
                one.action(action, {"individual_id": name}, time=BEGAN)
            for answer in ("NOT_NOVEL", "NOVEL") if similarity else ():
                call = one.llm_call("judge", messages="Is it novel?", role="novelty", start_time=BEGAN)
                call.response(answer, cost=0.25)
                call.end(BEGAN + SECOND)
            if stage:
                one.fail("rejected as not novel")
            one.end(BEGAN + 2 * SECOND)
        return recorded.spans


def test_failures_say_how_many_they_are_at_most(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the page can say that these are the newest, and there may be more."""
    export(connect, search_spans())
    every = data.yields(store, RUN)["failures"]
    monkeypatch.setattr(data, "FAILURES", 1)
    told = data.yields(store, RUN)
    assert told["failures"] == every[:1] != every and told["most_failures"] == 1


def test_what_became_of_proposals_before_their_evaluation(store: Client, connect: Connect) -> None:
    """Patches that did not apply, similarities, what judges said and cost, rejections, and who came to nothing. Of a search that records
    nothing of it there is nothing; if only models judged, the number of rejections is unknown."""
    export(connect, proposed("proposing"))
    export(connect, proposed("judged", tells=False))
    export(connect, search_spans())
    (row,) = data.yields(store, "proposing")["proposals"]
    assert row == {
        **{"mutation_type": "diff", "individuals": 3, "unapplied": 1, "compared": 2, "similarity": pytest.approx(0.9)},
        **{"judged": 4, "rejected": 2, "given_up": 1, "not_novel": 1, "cost": 1.0, "unpriced": 0},
    }
    (row,) = data.yields(store, "judged")["proposals"]
    assert [row[name] for name in ("judged", "compared", "similarity", "rejected", "cost")] == [4, 0, None, None, 1.0]
    assert data.yields(store, RUN)["proposals"] == []
    assert data.individual(store, "proposing", "kept")["metadata"] == [
        ("max_similarity", 0.8),
        ("archive_inspiration_ids", ["kept"]),
    ]


def test_jobs_come_since_a_cursor(store: Client, connect: Connect) -> None:
    """Each evaluation with its seconds and whether it failed; one that goes on has none until its end arrives, which sends it again."""
    ended = list(search_spans())
    ends = [span for span in ended if attributes_of(span).get("genesis.action.type") in ("job_completed", "job_failed")]
    last = next(span for span in reversed(ended) if attributes_of(span).get("genesis.record") == "evaluation")
    export(connect, [span for span in ended if span is not last and span not in ends])
    first = data.jobs(store, RUN)
    columns = first["columns"]
    seconds = dict(zip(columns["individual_id"], columns["seconds"], strict=True))
    assert len(seconds) == len(FACTS) and [name for name, took in seconds.items() if took is None] == ["four_a"]
    assert {took for took in seconds.values() if took is not None} == {1.0}
    failed = zip(columns["individual_id"], columns["failed"], strict=True)
    assert [name for name, has in failed if has] == ["seed_broken"]
    since = first["since"] + data.OVERLAP + 1
    assert data.jobs(store, RUN, since) == {"since": since, "columns": {}}
    export(connect, [last])
    again = data.jobs(store, RUN, first["since"] + data.OVERLAP)["columns"]
    assert (again["individual_id"], again["seconds"]) == (["four_a"], [1.0])


def test_of_an_evaluation_that_is_tried_again_the_last_time_counts(store: Client, connect: Connect) -> None:
    """It took as long as that, and failed if that did: one that was killed and one that failed are tried again after an hour."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run("again", run_id="again", start_time=BEGAN)
        one = spans.individual("one", generation=0, run=run, start_time=BEGAN)
        for at, job in ((0, "killed"), (0, "failed"), (3600, "killed"), (3600, "failed"), (3700, "goes on")):
            evaluation = one.evaluation(job, start_time=BEGAN + at * SECOND)
            if at == 0 and job == "failed":
                evaluation.fail("no memory")
            if at == 3600 or job == "failed":
                evaluation.end(BEGAN + (at + 2) * SECOND)
        export(connect, recorded.spans)
    columns = data.jobs(store, "again")["columns"]
    told = zip(*(columns[name] for name in ("job", "submitted", "seconds", "failed")), strict=True)
    began = BEGAN // 1_000_000
    assert sorted(told) == [
        ("failed", began + 3_600_000, 2.0, False),
        ("goes on", began + 3_700_000, None, False),
        ("killed", began + 3_600_000, 2.0, False),
    ]
