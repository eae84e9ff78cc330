"""The demo: its model and its evaluator work as described, and its record answers what a record should."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console

from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import load_settings
from genesis_otel._store.tables import TABLES
from genesis_otel.demo import edits, model
from genesis_otel.demo.circle_packing import evaluator
from genesis_otel.demo.evolve import PROBLEM
from genesis_otel.demo.search import FRAMEWORKS, DemoError, DemoResult, glance, run_demo, summarise

SEED = (PROBLEM / "initial_program.py").read_text()


def score(code: str, folder: Path) -> dict[str, float]:
    """The evaluator's metrics of a program."""
    program = folder / "program.py"
    program.write_text(code)
    return evaluator.evaluate(str(program))


# --- the evaluator ---------------------------------------------------------------------------------------------------


def test_the_same_program_has_the_same_metrics(tmp_path: Path) -> None:
    """Nothing in the metrics depends on time, chance or the machine."""
    searching = edits.applied(SEED, [edits.Edit("", edits.IMPROVEMENTS[0], edits.IMPROVEMENTS[3])])
    assert score(searching, tmp_path) == score(searching, tmp_path)
    assert score(SEED, tmp_path)["size"] == len(SEED.encode())


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("2 for _ in points]", "2 for _ in points[1:]] + [0.2]", "overlap"),
        ("0.6 * nearest / 2", "0.6", "does not lie in the square"),
        ("COUNT = 26", "COUNT = 27", "27 centres"),
        ("    return points\n", "    while True:\n        radii(points)\n", "calls"),
        ("0.6 * nearest / 2", "-0.1", "does not lie in the square"),
    ],
)
def test_a_wrong_packing_is_refused(find: str, put: str, said: str, tmp_path: Path) -> None:
    """Overlapping circles, circles that stick out, too many circles, and endless work are errors that say what is
    wrong."""
    assert find in SEED
    with pytest.raises((ValueError, TimeoutError), match=said):
        score(SEED.replace(find, put, 1), tmp_path)


# --- the edits -------------------------------------------------------------------------------------------------------


def test_edits_lead_from_the_seed_to_a_good_packing(tmp_path: Path) -> None:
    """Random improvements reach 0.94 of the best known packing, and every program on the way runs."""
    best = 0.0
    for choices in ((3, 1, 4, 1, 5, 9, 2, 6), (2, 7, 1, 8, 2, 8, 1, 8)):
        code = SEED
        for choice in choices:
            changes = edits.improve(code, choice)
            assert changes and all(each.find in code for each in changes)
            code = edits.applied(code, changes)
            best = max(best, score(code, tmp_path)["accuracy"])
    assert score(SEED, tmp_path)["accuracy"] < 0.5
    assert best > 0.94


@pytest.mark.parametrize("choice", range(5))
def test_each_kind_of_edit_has_its_effect(choice: int, tmp_path: Path) -> None:
    """A worsening scores lower, a shortening packs the same in fewer bytes, and programs with a misspelling or a
    division by zero do not run and can be repaired."""
    good = SEED
    for slot in (edits.STARTS, edits.RADII):
        good = edits.applied(good, [edits.Edit("", slot[0], slot[3])])
    before = score(good, tmp_path)
    assert score(edits.applied(good, edits.worsen(good, choice)), tmp_path)["accuracy"] <= before["accuracy"]
    shorter = score(edits.applied(good, edits.shorten(good, choice)), tmp_path)
    assert shorter["accuracy"] == before["accuracy"] and shorter["size"] < before["size"]
    for spoil, error in ((edits.misspell, SyntaxError), (edits.divide, ZeroDivisionError)):
        spoilt = edits.applied(good, spoil(good, choice))
        with pytest.raises(error):
            score(spoilt, tmp_path)
        assert edits.applied(spoilt, edits.improve(spoilt, choice)) == good
    (missing,) = edits.miss(good, choice)
    assert missing.find not in good
    assert edits.applied(good, edits.copy(good, SEED)) == SEED


# --- the endpoint ----------------------------------------------------------------------------------------------------


def ask(url: str, code: str = SEED, extra: str = "", path: str = "/chat/completions") -> tuple[int, dict[str, Any]]:
    """One request, as OpenEvolve makes it."""
    prompt = f"{extra}\n# Current Program\n```python\n{code}\n```\n\n# Task\nUse the exact SEARCH/REPLACE diff format."
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "system", "content": "Pack."}, {"role": "user", "content": prompt}],
    }
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_same_requests_have_the_same_answers() -> None:
    """Two endpoints that get the same requests give the same answers, including refusals, at any time."""

    def answers() -> list[tuple[int, Any]]:
        with model.serving(pace=0) as url:
            found = [ask(url, extra=f"{number // 2}") for number in range(44)]
        return [(status, answer | {"created": 0}) for status, answer in found]

    first = answers()
    assert first == answers()
    assert {status for status, _ in first} == {200, 429, 500}


def test_a_refused_request_is_answered_on_retry() -> None:
    """A 429 comes once, and the repeated request gets its answer with matching token counts."""
    with model.serving(pace=0) as url:
        found = [ask(url, extra=f"{number}")[0] for number in range(3)]
        assert found == [200, 200, 429]
        status, answer = ask(url, extra="2")
    assert status == 200
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_answers_are_diffs_that_openevolve_can_apply() -> None:
    """OpenEvolve's own parser finds the edits and applies them, if the answer contains one that fits."""
    from openevolve.utils.code_utils import apply_diff_blocks, extract_diffs  # type: ignore[import-untyped]

    outcomes = set()
    with model.serving(pace=0) as url:
        for number in range(40):
            status, answer = ask(url, extra=str(number))
            while status != 200:
                status, answer = ask(url, extra=str(number))
            blocks = extract_diffs(answer["choices"][0]["message"]["content"])
            code, applied = apply_diff_blocks(SEED, blocks)
            outcomes.add((bool(blocks), applied == len(blocks), code != SEED))
    assert outcomes == {(True, True, True), (True, False, False), (False, True, False)}


@pytest.mark.parametrize("way", ["SEARCH/REPLACE", "the complete program"])
def test_answers_to_shinka_have_its_format(way: str) -> None:
    """ShinkaEvolve requests have words before the program, and get a name, a description, and a diff or a different
    program."""
    prompt = (
        f"<NAME>\n</NAME>\n# Current program\n\nHere is the program:\n\n```python\n{SEED}\n```\n\n# Task\nGive {way}."
    )
    body = {"model": "gpt-4.1-mini", "input": [{"role": "user", "content": prompt}]}
    with model.serving(pace=0) as url:
        request = urllib.request.Request(f"{url}/responses", json.dumps(body).encode())  # noqa: S310
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            answer = json.load(response)
    text = answer["output"][0]["content"][0]["text"]
    name, description = (re.search(rf"<{tag}>\n(.+)\n</{tag}>", text) for tag in ("NAME", "DESCRIPTION"))
    assert name and description and re.fullmatch(r"[a-z_]+", name[1])
    assert ("<<<<<<< SEARCH" in text) == (way == "SEARCH/REPLACE")
    assert ("```python" in text and "EVOLVE-BLOCK-START" in text) == (way != "SEARCH/REPLACE")
    assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]


def test_invalid_requests_are_refused() -> None:
    """Other paths get 404, other bodies 400, and the endpoint keeps running."""
    with model.serving(pace=0) as url:
        assert ask(url, path="/completions")[0] == 404
        assert ask(url, path="/embeddings")[0] == 400
        assert ask(url)[0] == 200


# --- what stops the demo ---------------------------------------------------------------------------------------------


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With --real and no key, the demo says which key is missing before it starts anything."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(DemoError, match="OPENAI_API_KEY"):
        run_demo(real=True, settings=load_settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_missing_framework_is_named_with_how_to_install_it(
    framework: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the framework of the search, the demo says how to install it."""
    monkeypatch.setitem(sys.modules, framework, None)
    with pytest.raises(DemoError, match=re.escape(f"pip install 'genesis-otel[embedded,{framework}]'")):
        run_demo(framework=framework, settings=load_settings(data_dir=tmp_path))


def test_a_framework_without_a_demo_is_refused(tmp_path: Path) -> None:
    """The error names the frameworks that have one."""
    with pytest.raises(DemoError, match=", ".join(sorted(FRAMEWORKS))):
        run_demo(framework="nothing", settings=load_settings(data_dir=tmp_path))


def test_a_search_that_fails_says_why_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the search's last lines and the file with all of them."""
    settings = load_settings(data_dir=tmp_path, clickhouse_url=f"chdb://{tmp_path}/file")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DemoError, match=r"the search failed: .*demo\.log"):
        run_demo(iterations=2, settings=settings, pace=0)


# --- the whole -------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """What a terminal displayed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoResult, Client, str, list[str]]]:
    """A demo that has run: its result, a reader of its store, its output, and the states in which the run was seen."""
    folder = tmp_path_factory.mktemp("demo")
    settings = load_settings(data_dir=folder)
    shown, ended = Terminal(), threading.Event()
    seen: list[str] = []
    with contextlib.closing(open_client(settings, start=True)) as client:

        def look() -> None:
            while not ended.wait(0.2):
                seen.extend(
                    row[0]
                    for row in client.query("SELECT run_id FROM evolution_runs WHERE status = 'running'").result_rows
                )

        thread = threading.Thread(target=look)
        thread.start()
        try:
            console = Console(file=shown, force_terminal=True, width=120)
            result = run_demo(settings=settings, progress=console)
        finally:
            ended.set()
            thread.join()
        yield result, client, shown.getvalue(), seen
        address = store_process.running(folder / "store")
        if address is not None:
            os.kill(address.pid, signal.SIGTERM)


Demo = tuple[DemoResult, Client, str, list[str]]


def test_the_demo_fills_the_seven_tables(demo: Demo) -> None:
    """Forty iterations: each table has the rows of these iterations, and the run is completed."""
    result, client, _, _ = demo
    seen = glance(client, result.run_id)
    rows = dict(zip(TABLES, seen.rows, strict=True))
    assert seen.iterations == result.iterations == 40
    assert rows["evolution_runs"] == 1 and rows["generations"] == 41
    assert rows["individuals"] == rows["code_lineages"] > 41
    assert rows["llm_logs"] == 42  # one call failed and OpenEvolve repeated it
    assert rows["pareto_fronts"] > 60 and rows["agent_actions"] > 80
    assert seen.best is not None and seen.best > 0.8
    ((cost, logged),) = client.query(
        "SELECT (SELECT sum(total_cost) FROM generations), (SELECT sum(cost) FROM llm_logs)"
    ).result_rows
    assert cost == pytest.approx(logged) == pytest.approx(seen.cost)
    assert cost > 0.01


def test_the_demo_shows_its_progress(demo: Demo) -> None:
    """While it runs, every reader sees it as running, and the terminal shows its iterations, score and rows."""
    result, _, shown, seen = demo
    assert set(seen) == {result.run_id}
    assert "best fitness" in shown and "generations" in shown
    assert len(set(re.findall(r"(\d+)/40", shown))) > 2


def test_the_demo_has_every_kind_of_event(demo: Demo) -> None:
    """Gains and losses, failures, copies, migrations, members of fronts other than the seed, errors, two models."""
    _, client, _, _ = demo
    questions = {
        "gains": "SELECT count() FROM code_lineages WHERE fitness_delta > 0",
        "losses": "SELECT count() FROM code_lineages WHERE fitness_delta < 0",
        "later members": "SELECT count() FROM individuals WHERE is_pareto AND generation > 0",
        "duplicates": "SELECT count() FROM (SELECT code_hash FROM individuals GROUP BY code_hash HAVING count() > 1)",
        "migrations": "SELECT count() FROM individuals WHERE mutation_type = 'migration'",
        "breakthroughs": "SELECT count() FROM code_lineages WHERE fitness_delta > 0.1",
        "failed jobs": "SELECT count() FROM agent_actions WHERE action_type = 'job_failed'",
        "failed proposals": "SELECT count() FROM agent_actions WHERE action_type = 'proposal_failed'",
        "failed calls": "SELECT count() FROM llm_logs WHERE status != 'ok'",
        "two models": "SELECT count() - 1 FROM (SELECT DISTINCT model FROM llm_logs)",
        "cached tokens": "SELECT sum(cached_tokens) FROM llm_logs",
        "metrics": "SELECT countIf(JSONExtractFloat(metrics, 'accuracy') > 0 AND JSONExtractFloat(metrics, 'size') > 0) FROM pareto_fronts",
        "the reference's task": "SELECT count() FROM evolution_runs WHERE task_name = 'circle_packing'",
    }
    found = {name: client.query(sql).result_rows[0][0] for name, sql in questions.items()}
    assert {name for name, count in found.items() if not count} == set()


def test_the_summary_says_what_was_recorded(demo: Demo) -> None:
    """Rows per table, the best individual with its ancestors from the seed, cost, latencies, and what to run next; in 80
    columns models and numbers are whole."""
    result, client, _, _ = demo
    shown = io.StringIO()
    summarise(client, result.run_id, Console(file=shown, width=160))
    text = shown.getvalue()
    for table in TABLES:
        count = client.query(f"SELECT count() FROM {table}").result_rows[0][0]
        assert re.search(rf"{table}\W+{count:,}\W", text), table
    ((best, fitness),) = client.query(
        "SELECT individual_id, fitness_score FROM individuals ORDER BY fitness_score DESC, timestamp, individual_id LIMIT 1"
    ).result_rows
    assert f"{best}: fitness {fitness:.4f}" in text
    generations = [int(each) for each in re.findall(r"^ +(\d+)  (?:init|diff|migration)", text, re.MULTILINE)]
    assert generations[0] == 0 and all(a <= b for a, b in itertools.pairwise(generations)) and len(generations) > 1
    assert re.search(r"LLM calls: \$0\.\d+ in all", text) and "p99" in text and "The slowest call took" in text
    assert f"genesis-otel lineage {result.run_id}" in text
    shown = io.StringIO()
    summarise(client, result.run_id, Console(file=shown, width=80))
    assert re.search(
        r"^gpt-4.1-mini +[\d,]+ +\d+ +[\d,]+ +[\d,]+ +[\d,]+ +\$0\.\d+ +\d", shown.getvalue(), re.MULTILINE
    )


def test_the_best_program_is_as_good_as_its_record(demo: Demo, tmp_path: Path) -> None:
    """The best individual's code, taken from the store and evaluated again, has the metrics of its row."""
    _, client, _, _ = demo
    ((code, metrics),) = client.query(
        "SELECT code, metrics FROM individuals ORDER BY combined_score DESC LIMIT 1"
    ).result_rows
    assert score(code, tmp_path) == pytest.approx(json.loads(metrics))
