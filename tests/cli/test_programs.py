"""Single programs: what `show`, `best`, `diff`, `tag`, `note` and `stop` print, on the search of `searched`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

import genesis_otel
from genesis_otel import spans
from genesis_otel._cli import completion
from genesis_otel._cli.app import main
from genesis_otel._read.format import signed
from genesis_otel._read.program import difference
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.spool.status import status as spool_status
from tests.support.command import on_terminal
from tests.support.environment import take_settings_out
from tests.support.recording import record
from tests.support.searched import (
    BEST,
    FACTS,
    GOING_ON,
    LATER,
    OF_BEST,
    RUN,
    TASK,
    Fact,
    code,
    end_store,
    fill,
    search_spans,
)

Run = Callable[..., tuple[int, str, str]]
HOSTILE = ["x-1", "x$(id)", "x\\$(id)", "x`id`", "x;id", "x y", "x\x1b[31m", "x'\"y"]
PARENT = next(fact for fact in FACTS if fact.id == "three_best")


@pytest.fixture
def run(filled: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command on that store: exit code, output, errors."""
    take_settings_out(monkeypatch)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(filled))

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return ran


def pairs(shown: str) -> dict[str, str]:
    """The output of `show`, by heading."""
    parted = (line.partition("  ") for line in shown.splitlines() if line[:1] != " ")
    return {name: value.strip() for name, _, value in parted}


def test_the_best_program_as_a_file(run: Run) -> None:
    """`best --code` and `query --format raw` print exactly the recorded text, with nothing before or after it."""
    assert run("best", RUN, "--code") == (0, code(OF_BEST), "")
    assert run("show", RUN, "best", "--code")[1] == code(OF_BEST)
    statement = f"SELECT code FROM individuals WHERE run_id = '{RUN}' AND individual_id = '{BEST}'"
    assert run("query", statement, "--format", "raw")[1] == code(OF_BEST)
    several = run("query", r"SELECT 'a\tb\nc', NULL, 1 UNION ALL SELECT 'd', NULL, 2 ORDER BY 3", "--format", "raw")[1]
    assert several == "a\tb\nc\t\t1\nd\t\t2"


def test_an_answer_as_a_file(run: Run, tmp_path: Path) -> None:
    """The suffix or --format decides: Parquet is the engine's own, with its types; the others are the same as in a
    pipe. An existing file is not overwritten, and an error leaves none."""
    asked = ("query", "top_individuals", "--param", f"run_id={RUN}")
    file = tmp_path / "best.parquet"
    code, out, err = run(*asked, "--output", str(file))
    assert (code, out) == (0, "") and re.fullmatch(rf"{re.escape(str(file))}: [\d,]+ bytes\n", err)
    table = pyarrow.parquet.read_table(file)
    rows = json.loads(run(*asked, "--format", "json")[1])
    assert table.column("individual_id").to_pylist() == [row["individual_id"] for row in rows]
    assert table.column("fitness_score").to_pylist() == [row["fitness_score"] for row in rows]
    code, _, err = run(*asked, "--output", str(file), "--format", "parquet")
    assert code == 2 and "already exists" in err
    code, _, err = run(*asked, "--output", str(tmp_path / "nowhere" / "answer.csv"))
    assert code == 2 and err.endswith(f"there is no folder {tmp_path / 'nowhere'}\n")
    for name, format in (("a.csv", "csv"), ("a.json", "json"), ("a.txt", "tsv")):
        assert run(*asked, "-o", str(tmp_path / name)) == (0, "", "")
        assert (tmp_path / name).read_text() == run(*asked, "--format", format)[1]
        assert run(*asked, "-o", str(tmp_path / name))[0] == 2
    before = sorted(tmp_path.iterdir())
    assert run("query", "SELECT nothing", "-o", str(tmp_path / "none.parquet"))[0] == 1
    assert run("query", "SELECT throwIf(number = 3) FROM numbers(9)", "-o", str(tmp_path / "none.parquet"))[0] == 1
    assert run(*asked, "--format", "parquet")[0] == 2
    assert sorted(tmp_path.iterdir()) == before


def completed(run: Run, words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bash's completions for a line that ends at the cursor, however busy the machine."""
    with monkeypatch.context() as patch:
        patch.setattr(completion, "SECONDS", 60.0)
        patch.setenv("_GENESIS_OTEL_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", f"genesis-otel {words}")
        patch.setenv("COMP_CWORD", str(len(words.split(" "))))
        code, out, err = run()
    assert (code, err) == (0, "")
    return out.split()


def test_a_shell_completes_commands_runs_and_queries(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever a run or an individual is named, also if the store process has to be started first; a store that does not
    exist is not created, and nothing is printed."""
    assert run("stop")[0] == 0
    assert completed(run, "rep", monkeypatch) == ["reprice", "report"]
    assert set(completed(run, "show ", monkeypatch)) == {"latest", RUN, GOING_ON}
    for words in ("export", "ui", "watch", "diff best --run", "diff best best --other-run", "report --compare"):
        assert completed(run, f"{words} {RUN[:-1]}", monkeypatch) == [RUN]
    assert set(completed(run, f"show {RUN} three_", monkeypatch)) == {"three_a", "three_best", "three_b"}
    assert completed(run, f"lineage {RUN} be", monkeypatch) == ["best"]
    assert completed(run, "query top_", monkeypatch) == ["top_individuals"]
    assert set(completed(run, "runs --status st", monkeypatch)) == {"stalled", "stopped"}
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    assert completed(run, "show ", monkeypatch) == ["latest"]
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("CLICKHOUSE_URL", "http://127.0.0.1:9/nowhere")
    assert completed(run, "show ", monkeypatch) == ["latest"]


def test_a_run_in_which_nothing_succeeded_has_no_best(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that takes the best program gets exit code 3, and not one that failed; the message names individuals to look at."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    recorded = record(monkeypatch)
    with spans.run("task", run_id="in_vain") as search, search.generation(0) as generation:
        for name in ("one", "two"):
            with generation.individual(name) as individual:
                individual.record(code="raise")
                individual.fail("no")
    fill(tmp_path / "store", recorded.spans)
    for command in (
        ["best"],
        ["best", "in_vain", "--code"],
        ["show", "in_vain", "best"],
        ["lineage"],
        ["diff", "best"],
    ):
        code, out, err = run(*command)
        assert (code, out) == (3, "") and "no individual of the run in_vain has succeeded" in err and "one, two" in err
    assert run("show", "in_vain", "one", "--code") == (0, "raise", "")
    end_store(tmp_path / "store")


def test_a_name_is_taken_by_its_word_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may be called `latest`, and an individual `best`: these are meant then, and otherwise the newest run and the best individual,
    even if an id begins with the word. Who does not say the word gets the best individual in any case."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    facts = [Fact(name, 0, (), "init", score, 10) for name, score in (("good", 0.9), ("bestial", 0.1), ("best", 0.2))]
    named = search_spans("latest", facts=facts)
    fill(tmp_path / "store", [*named, *search_spans("latest_but_one", facts=facts[:2])])
    assert pairs(run("show", "latest")[1])["run"] == "latest"
    assert pairs(run("show", "latest", "best")[1])["individual"] == "best"
    assert pairs(run("show", "latest_", "best")[1])["individual"] == "good"
    assert pairs(run("show", "latest", "besti")[1])["individual"] == "bestial"
    assert pairs(run("best", "latest")[1])["individual"] == "good"
    assert run("lineage", "latest")[1].splitlines()[1].split("\t")[1] == "good"
    assert genesis_otel.connect().run("latest").best.id == "good"
    assert run("delete", "latest", "--yes", "--force")[0] == 0
    assert pairs(run("show", "latest", "best")[1])["run"] == "latest_but_one"
    end_store(tmp_path / "store")


def test_an_id_that_a_shell_would_run_is_not_completed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id is whatever a search, or an imported file, says: with a command in it, it is left to be typed."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    fill(tmp_path / "store", [span for name in HOSTILE for span in search_spans(name, facts=LATER[:1])])
    listed = json.loads(run("runs", "--format", "json")[1])
    assert {each["run_id"] for each in listed} == set(HOSTILE)
    assert completed(run, "show ", monkeypatch) == ["latest", "x-1"]
    end_store(tmp_path / "store")


@pytest.mark.parametrize(
    ("gain", "text"),
    [(None, ""), (0.0, "0"), (0.02, "+0.02"), (-0.5, "-0.5"), (3e-6, "+3e-06"), (-3e-6, "-3e-06"), (1e308, "+1e+308")],
)
def test_a_gain_is_never_rounded_to_nothing(gain: float | None, text: str) -> None:
    """Searches end with gains of a millionth, and scores may be of any size: a gain is written with the precision of
    its score."""
    assert signed(gain) == text


def test_show_an_individual(run: Run) -> None:
    """What is known about it, one line each; as JSON, everything."""
    shown = pairs(run("show", RUN, BEST)[1])
    assert shown["individual"] == BEST and shown["score"] == "0.97" and shown["gain"] == "+0.02"
    assert shown["parents"] == "three_best" and shown["what changed"] == f"why {BEST} should be better"
    failed = pairs(run("show", RUN, "seed_broken")[1])
    assert failed["status"] == "failed" and failed["error"] == "its evaluation failed"
    assert failed["failures"] == "job_failed: division by zero"
    assert (failed["score"], failed["cost"]) == ("none", "$0.00") and not {"gain", "parents"} & set(failed)
    (told,) = json.loads(run("show", RUN, "three_a", "--format", "json")[1])
    assert told["parent_ids"] == ["two_a", "two_b"] and told["code"].startswith("[0.82")


def test_show_a_run(run: Run) -> None:
    """Without an individual, the run: by its id, by its task (its newest run), or the newest."""
    shown = pairs(run("show", RUN)[1])
    assert (shown["best individual"], shown["best score"]) == (f"{BEST}, of generation 4", "0.97")
    assert shown["objectives"] == "accuracy (higher is better), size (lower is better)"
    (told,) = json.loads(run("show", RUN, "--format", "json")[1])
    assert told["objectives"] == {"accuracy": "max", "size": "min"}
    assert pairs(run("show", TASK)[1])["run"] == pairs(run("show")[1])["run"] == GOING_ON
    code, out, err = run("show", "circle_square")
    assert (code, out) == (3, "") and "no run or task is named 'circle_square'; nearest: " in err
    code, out, err = run("show", RUN, "--code")
    assert (code, out) == (2, "") and "show latest best --code" in err
    assert run("show", RUN, BEST, "--code", "--prompts")[0] == run("best", RUN, "--code", "--format", "json")[0] == 2
    code, out, err = run("show", "")
    assert (code, out) == (3, "") and "the name of the run is empty" in err


def test_only_an_ended_run_has_a_duration(run: Run) -> None:
    """For an open run, its last sign of life and how long after the start that was; generations are counted."""
    ended, open_one = pairs(run("show", RUN)[1]), pairs(run("show", GOING_ON)[1])
    assert "took" in ended and "last sign of life" not in ended
    assert "took" not in open_one and open_one["last sign of life"].endswith("after its start")
    summary = json.loads(run("show", RUN, "--format", "json")[1])[0]
    since = summary["since_improvement"]
    told = f", none for {since} generation{'' if since == 1 else 's'}" if since else ""
    assert ended["improvements"] == f"{summary['improvements']}{told}"


def test_lineage_of_the_newest_run_is_the_default(run: Run) -> None:
    """`lineage` without arguments is that of the newest run's best individual."""
    assert run("lineage")[1] == run("lineage", GOING_ON, "best")[1]


def test_the_conversations_of_an_individual(run: Run) -> None:
    """Its prompts and answers in full; as JSON, the rows. An individual without a call says so."""
    shown = run("show", RUN, BEST, "--prompts")[1]
    assert "── user ──\nImprove three_best.\n" in shown and f"── answer ──\n{BEST}!\n" in shown
    (call,) = json.loads(run("show", RUN, BEST, "--prompts", "--format", "json")[1])
    assert call["response"] == f"{BEST}!" and call["output_tokens"] == 10
    assert run("show", RUN, "seed_a", "--prompts") == (0, "", "No LLM call was recorded for it.\n")


def test_a_call_of_unknown_duration_shows_none(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither 0 s nor 57 years stand beside its model, and a query's percentile is empty; a call of 2 s took 2 s."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    with spans.run("task", run_id="r"), spans.individual("a", generation=0) as one:
        for model, start in (("untimed", 0), ("timed", 1_700_000_000.0)):
            call = one.llm_call(model, messages="Ask.", start_time=start)
            call.response("x", cost=0.5)
            call.end(end_time=1_700_000_002.0)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    fill(tmp_path / "store", recorded.spans)
    try:
        heads = [line for line in run("show", "r", "a", "--prompts")[1].splitlines() if line.startswith("══")]
        assert [head.split(" · ")[1] for head in heads] == ["timed", "untimed"]
        assert [" · 2.00 s · " in head for head in heads] == [True, False] and not re.search(r"\d s · ", heads[1])
        rows = json.loads(run("query", "llm_latency", "--format", "json")[1])
        assert {row["model"]: (row["p50"], row["untimed"]) for row in rows} == {"timed": (2.0, 0), "untimed": (None, 1)}
    finally:
        end_store(tmp_path / "store")


def test_diff(run: Run) -> None:
    """To the parent, to any other, across runs; identical programs have no difference; a seed has no parent."""
    marked = "\\ No newline at end of file"
    expected = f"--- {PARENT.id}\n+++ {BEST}\n@@ -1 +1 @@\n-{code(PARENT)}\n{marked}\n+{code(OF_BEST)}\n{marked}\n"
    assert run("diff", "best", "--run", RUN) == (0, expected, "")
    assert run("diff", "three_best", "four", "--run", RUN)[1] == expected
    assert run("diff", "one_b", "two_c", "--run", RUN) == (0, "", "The two programs are the same.\n")
    assert (
        run("diff", "seed_a", "later_seed_a", "--run", RUN, "--other-run", GOING_ON)[2]
        == "The two programs are the same.\n"
    )
    code_, out, err = run("diff", "seed_a", "--run", RUN)
    assert (code_, out) == (3, "") and "seed_a has no parent" in err


def test_a_diff_can_be_applied() -> None:
    """Line ends, and a missing newline at the end, are differences; only a newline ends a line, and no id adds one."""

    def diff(before: str, after: str) -> list[str]:
        return list(difference({"individual_id": "a", "code": before}, {"individual_id": "b", "code": after}))

    head = ["--- a", "+++ b", "@@ -1 +1 @@"]
    assert diff("x\n", "x\n") == diff("", "") == diff("x", "x") == []
    assert diff("x\r\n", "x\n") == [*head, "-x\r", "+x"]
    assert diff("x\n", "x") == [*head, "-x", "+x", "\\ No newline at end of file"]
    assert diff("x\fy\u2028z\n", "x\n") == [*head, "-x\fy\u2028z", "+x"]
    assert diff("", "x\n") == ["--- a", "+++ b", "@@ -0,0 +1 @@", "+x"]
    first, *_ = difference({"individual_id": "a\n+++ c", "code": "x"}, {"individual_id": "b", "code": "y"})
    assert first == "--- a\\n+++ c"


def test_a_diff_has_no_colours_if_none_are_wanted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal a diff is coloured, and with NO_COLOR it has no escape sequence."""
    assert run("runs")[0] == 0
    assert "\x1b[32m+" in on_terminal("diff", "best", "--run", RUN)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal("diff", "best", "--run", RUN)


def test_tags_and_notes(run: Run) -> None:
    """They are found and shown, can be removed, and change nothing else: neither a run's status nor its last sign of
    life."""

    def row(run_id: str) -> dict[str, object]:
        (found,) = [each for each in json.loads(run("runs", "--format", "json")[1]) if each["run_id"] == run_id]
        # Of the same costs, the engine gives two sums that differ in the last bit, as its threads add them.
        found["cost"] = pytest.approx(found["cost"])
        return {name: value for name, value in found.items() if name not in ("silent_seconds", "tags", "notes")}

    before = row(RUN), row(GOING_ON)
    for run_id in (RUN, GOING_ON):
        assert run("tag", run_id, "baseline", "for the paper")[0] == 0
    assert run("tag", RUN, "baseline", "--remove")[0] == 0
    assert run("note", RUN, "wrong evaluator:\ndo not compare")[0] == run("note", RUN, "second")[0] == 0
    assert (row(RUN), row(GOING_ON)) == before
    tagged = json.loads(run("runs", "--tag", "baseline", "--format", "json")[1])
    assert [(each["run_id"], each["tags"]) for each in tagged] == [(GOING_ON, ["baseline", "for the paper"])]
    shown = run("show", RUN)[1]
    assert pairs(shown)["tags"] == "for the paper"
    assert "wrong evaluator:\n" in shown and "do not compare\n" in shown and "second\n" in shown
    code, out, err = run("runs", "--tag", "nothing")
    assert (code, out) == (3, "") and "there is no run with the tag 'nothing'" in err
    assert run("tag", RUN, " ")[0] == run("note", RUN, " ")[0] == 2


def test_stop_ends_the_store_process(run: Run, filled: Path) -> None:
    """The store process ends, its data is there at the next start, and a second `stop` has nothing to do."""
    assert run("runs")[0] == 0
    address = store_process.running(filled / "store")
    assert address is not None
    code, out, err = run("stop")
    assert (code, out) == (0, "") and f"Process {address.pid}" in err
    assert store_process.running(filled / "store") is None
    assert "No process serves" in run("stop")[2]
    assert run("best", RUN, "--code")[1].startswith("[0.97")
    assert spool_status(filled / "store" / store_folder.SPOOL).waiting == 0


def test_stop_is_for_the_embedded_store(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ClickHouse server is not ours to stop."""
    monkeypatch.setenv("CLICKHOUSE_URL", "http://127.0.0.1:1/x")
    code, out, err = run("stop")
    assert (code, out) == (1, "") and "only the embedded store" in err


def test_a_report_that_has_no_place_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    """The message names what was given: no folder, or a folder instead of a file."""
    nowhere = tmp_path / "nowhere"
    assert run("report", "latest", "-o", str(nowhere / "report.html")) == (
        2,
        "",
        f"Error: {nowhere / 'report.html'} cannot be written: there is no folder {nowhere}\n",
    )
    assert run("report", "latest", "-o", str(tmp_path)) == (
        2,
        "",
        f"Error: {tmp_path} is a folder: name a file in it\n",
    )
