"""What 0.1.0 left on disk is read and delivered: a store, a first logger's store, spools, dead letters.

``fixtures/v0_1_0/README.md`` says how they were made and what they contain; ``expected.json`` beside it has, for each, the
statements that 0.1.0 was given and the rows that it answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.queue import take
from genesis_otel._store import schema
from tests.support.environment import without_settings
from tests.support.old_store import FIXTURES, opened, unpacked
from tests.support.otlp_receiver import receiving
from tests.support.pipeline import PASSWORD, Store, running
from tests.support.waiting import until

EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
DEMO = "demo_20261126_141609_9b132a5d"
CUT = "cut_in_the_write"
"""The action whose record is cut: its process died in the write, so it is no span that ended."""


UNSCORED = {
    *(("spooled_by_two", name) for name in ("failed_in_the_search", "failed_in_the_worker")),
    ("refused", "warm_failed"),
    *(("full", name) for name in ("seed_failed", "seed_unscored", "all_fail_1", "all_fail_2", "copy_of_failed")),
    # Members of a front, recorded without a combined score.
    ("full", "from_elsewhere"),
    ("running", "second"),
    *(("raw_gone", name) for name in ("failed", "all_fail")),
    *((run, name) for run in ("logged", "logged_raw_gone") for name in ("b", "d")),
    ("first_logger", "b"),
    # Failed OpenEvolve evaluations: two with a 0 that OpenEvolve made up, one without a program.
    (DEMO, "03ebe937-5dec-40ab-92d6-666ae8e4b90f"),
    (DEMO, "1d9757bb-c85a-4ddd-8135-e52396c37c16"),
    (DEMO, "21ee5920-4fd5-48c2-9514-6c9a22f47bca"),
}
"""Individuals of which 0.1.0 stored 0 for want of a score, as their raw spans, their status or their metrics tell.

Not among them is `raw_gone`'s `unscored`: without its span nothing tells it from one whose score is 0."""

UNSCORED_GENERATIONS = {("full", 2), ("raw_gone", 2), (DEMO, 5), (DEMO, 12), (DEMO, 16)}
"""Generations in which no individual has a score."""

INCORRECT = {
    ("full", "incorrect"),
    ("first_logger", "b"),
    *((run, name) for run in ("logged", "logged_raw_gone") for name in ("b", "d")),
}
"""Individuals that ran and did not pass their checks: 0.1.0 had no word for them."""

OF_NO_GENERATION = {("full", 0, "meta"), ("", 0, "")}
"""Calls of no generation, by run, generation as it was stored, and role."""

ACTIONS_OF_NO_GENERATION = {("", "job_submitted"), ("full", "checkpoint")}
"""Actions of no generation, by run and type."""

NO_DELTA = {("resumed", "after_2"), ("resumed", "after_3")}
"""Children of a parent that their process did not know: 0.1.0 stored 0."""


def of_today(told: dict[str, Any]) -> list[Any]:
    """What a statement answers now: a missing score is NULL, and an individual can be incorrect."""
    rows = [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]
    for row in rows:
        unscored = (row.get("run_id"), row.get("individual_id", row.get("child_id"))) in UNSCORED
        parent_unscored = (row.get("run_id"), row.get("parent_id")) in UNSCORED or row.get("parent_id") == ""
        unknown = (row.get("run_id"), row.get("child_id")) in NO_DELTA
        of_none = "best" in row and (row["run_id"], row["generation"]) in UNSCORED_GENERATIONS
        if (row.get("run_id"), row.get("individual_id")) in INCORRECT and "status" in row:
            row["status"] = "incorrect"
        if "model" in row and (row["run_id"], row["generation"], row["role"]) in OF_NO_GENERATION:
            row["generation"] = None
        if (row.get("run_id"), row.get("action_type")) in ACTIONS_OF_NO_GENERATION and not row["individual_id"]:
            row["generation"] = None
        for column in row.keys() & {"fitness", "combined", "best", "avg", "delta"}:
            zero = row[column] == "0" and (unscored or of_none or unknown)
            if row[column] in ("nan", "inf", "-inf") or zero or (column == "delta" and (unscored or parent_unscored)):
                row[column] = None
    return [list(row.values()) for row in rows]


def asked(client: Client, expected: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The store's answers to the statements that 0.1.0 was given, and the answers expected from those of 0.1.0."""
    known = {name: told for name, told in expected.items() if isinstance(told, dict) and "sql" in told}
    return (
        {
            # The times of 0.1.0's machine, whose clock was in UTC.
            name: [list(row) for row in client.query(told["sql"], settings={"session_timezone": "UTC"}).result_rows]
            for name, told in known.items()
        },
        {name: of_today(told) for name, told in known.items()},
    )


def new_store(folder: Path) -> Path:
    """A current store in a folder, whose retention keeps raw traces as old as the fixtures' are by now."""
    command("init", "--traces-ttl-days", "0", CLICKHOUSE_URL=f"chdb://{folder}")
    address = folder / "serve.json"
    # The store process that the command may have started is stopped as its user would stop it.
    if address.exists():
        os.kill(json.loads(address.read_text())["pid"], signal.SIGTERM)
    until(lambda: not address.exists(), "the end of the store process")
    return folder


def command(*arguments: str, **environment: str) -> str:
    """What the command line prints; it must succeed."""
    bare = without_settings()
    done = subprocess.run(
        [sys.executable, "-m", "genesis_otel", *arguments],
        env=bare | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def spool(**environment: str) -> dict[str, Any]:
    """What the command line reports about a destination's spool."""
    (found,) = json.loads(command("spool", "--format", "json", **environment))
    assert isinstance(found, dict)
    return found


def state(found: dict[str, Any]) -> dict[str, int]:
    return {name: found[name] for name in ("queues", "waiting", "dead", "dropped")}


def spans_of(expected: dict[str, Any]) -> list[tuple[str, str]]:
    """Ids and names of the spans waiting in a spool."""
    return sorted((span_id, name) for _, span_id, name, _ in expected["otel_traces"]["rows"])


@pytest.mark.parametrize("name", ["store", "first_logger"])
def test_a_store_is_upgraded_with_every_row(name: str, tmp_path: Path) -> None:
    """The store opens in a folder other than its original one, with every row of every table: false scores are now NULL, as decided by
    the raw spans where these exist, and everything else is unchanged."""
    folder = unpacked(name, tmp_path / "elsewhere")
    with opened(folder) as client:
        found, expected = asked(client, EXPECTED[name])
        again = schema.init_schema(client)
    assert found == expected
    assert again == []


def test_a_later_upgrade_leaves_what_the_first_one_decided(tmp_path: Path) -> None:
    """The next version whose views differ compares all rows with their spans again: zeros that 0.1.0 told for a missing score do not come
    back from there, and those that came after the first upgrade are scores."""
    with opened(unpacked("store", tmp_path)) as client:
        client.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, trace_id, span_id) "
            "SELECT 'later', 'unscored', 0, now64(3), 'trace', 'individual'"
        )
        client.command(
            "INSERT INTO generations (run_id, generation, timestamp, best_score, avg_score, trace_id, span_id) "
            "SELECT 'later', 0, now64(3), 0, 0, 'trace', 'generation'"
        )
        client.command("ALTER TABLE individuals_mv MODIFY COMMENT 'genesis-otel of a later version'")
        done = schema.init_schema(client)
        assert "upgraded view individuals_mv" in done
        later = client.query("SELECT best_score, avg_score FROM generations WHERE run_id = 'later'").result_rows
        for table in ("individuals", "generations"):
            client.command(f"ALTER TABLE {table} DELETE WHERE run_id = 'later'", settings={"mutations_sync": 2})
        found, expected = asked(client, EXPECTED["store"])
        again = schema.init_schema(client)
    assert later == [(0.0, 0.0)]
    assert found == expected
    assert again == []


def test_an_upgrade_keeps_the_word_that_was_told(tmp_path: Path) -> None:
    """The value given instead of a score is in `score_told`: NaN, infinities, the 0 of a failure; a value not given leaves nothing."""
    with opened(unpacked("store", tmp_path)) as client:
        told = client.query(
            "SELECT run_id, individual_id, score_told FROM individuals "
            "WHERE fitness_score IS NULL OR combined_score IS NULL"
        ).result_rows
        incorrect = client.query(
            "SELECT run_id, individual_id FROM individuals WHERE status = 'incorrect' AND NOT correct ORDER BY ALL"
        ).result_rows
        generations = client.query("SELECT count() FROM llm_logs WHERE generation IS NULL").result_rows
    words = {(run_id, individual_id): word for run_id, individual_id, word in told}
    zeros = {(run, name) for run in ("logged", "logged_raw_gone") for name in ("b", "d")} | {
        (DEMO, "03ebe937-5dec-40ab-92d6-666ae8e4b90f"),
        (DEMO, "21ee5920-4fd5-48c2-9514-6c9a22f47bca"),
    }
    assert words == {each: "0" if each in zeros else "" for each in UNSCORED if each in words} | {
        ("full", "told_nan"): "nan",
        ("full", "told_inf"): "inf",
        ("full", "told_minus_inf"): "-inf",
        ("raw_gone", "told_nan"): "nan",
    }
    assert len(words) == 19
    failed = [(run, name) for run in ("logged", "logged_raw_gone") for name in ("b", "d")]
    assert incorrect == [("full", "incorrect"), *failed]
    # A call of the run itself, in no generation.
    assert generations == [(1,)]


def test_the_store_holds_what_an_upgrade_must_tell_apart() -> None:
    """The fixture has scores given and not given, NaN, infinities and true zeros, with and without the raw span that decides."""
    told = EXPECTED["store"]["told"]["individuals"]
    scores = {(row[1], row[3]): row[4] for row in told["rows"]}
    assert told["columns"][1:5] == ["run_id", "generation", "individual_id", "fitness"]
    assert {"not told", "NaN", "Infinity", "-Infinity", "0", "-2"} <= set(scores.values())
    raw = {run_id for _, _, _, run_id in EXPECTED["store"]["otel_traces"]["rows"]}
    without = {run_id for run_id, _ in scores} - raw
    assert without == {"raw_gone", "logged_raw_gone"}
    assert (scores["raw_gone", "failed"], scores["raw_gone", "truly_zero"]) == ("not told", "0")
    stored = {(row[0], row[1]): row[3] for row in EXPECTED["store"]["scores of individuals"]["rows"]}
    assert stored["raw_gone", "failed"] == stored["raw_gone", "truly_zero"] == "0"
    assert scores.keys() == stored.keys()
    statuses = {row[0]: row[2] for row in EXPECTED["store"]["evolution_runs"]["rows"]}
    assert statuses["running"] == "running" and statuses["resumed"] == "completed"


def test_an_embedded_spool_is_delivered_with_every_row(tmp_path: Path) -> None:
    """What four processes left, in several segments, one truncated in its last write, arrives in a new store, each row once."""
    expected = EXPECTED["spool_embedded"]
    folder = new_store(tmp_path / "data" / "store")
    queues = unpacked("spool_embedded", folder / "spool")
    segments = list(queues.glob("q-*/*.seg"))
    assert len({path.parent for path in segments}) == 4 < len(segments) == expected["segments"]
    environment = {"GENESIS_OTEL_DATA_DIR": str(tmp_path / "data")}
    assert state(spool(**environment)) == state(expected)
    with opened(folder) as client:
        until(lambda: spool(**environment)["waiting"] == 0, "the delivery")
        found, rows = asked(client, expected)
        assert client.command(f"SELECT count() FROM otel_traces WHERE SpanName LIKE '%{CUT}%'") == 0
    assert found == rows
    assert state(spool(**environment)) == {"queues": 0, "waiting": 0, "dead": 0, "dropped": 0}


def test_a_search_of_0_1_0_sees_that_its_spans_were_delivered(tmp_path: Path) -> None:
    """While its queue is drained, the file that says how far has the three numbers that 0.1.0 reads there: with more, it waited for its
    spans until its exit timeout, and reported that they wait."""
    spool = unpacked("spool_embedded", tmp_path)
    names = layout.queues(spool)
    assert names
    for name in names:
        # Its writer lives: the queue stays.
        assert ProcessLock(spool / f"{name}.writer").take(0)
        queue = take(spool, name)
        assert queue
        taken = (1, 0)
        while batch := queue.next(1000, 1 << 20):
            cut = spool / name / "cut"
            assert json.loads(cut.read_text()) == [
                batch.segment,
                taken[1] if taken[0] == batch.segment else 0,
                batch.end,
            ]
            queue.done(batch)
            taken = batch.segment, batch.end
            assert json.loads(cut.read_text()) == [*taken, 0]
        assert taken > (1, 0)
        queue.release()


def test_a_servers_spool_is_found_and_delivered_with_every_row(tmp_path: Path) -> None:
    """The spool of a ClickHouse that was away is found under its name, and its spans arrive, each row once."""
    expected = EXPECTED["spool_server"]
    data = tmp_path / "data"
    was = unpacked("spool_server", data / "spool" / expected["folder"])
    found = spool(GENESIS_OTEL_DATA_DIR=str(data), CLICKHOUSE_URL=expected["url"])
    assert (found["folder"], state(found)) == (str(was), state(expected))
    store = Store(new_store(tmp_path / "server"))
    with running(store), contextlib.closing(store.client()) as client:
        environment = {
            "GENESIS_OTEL_DATA_DIR": str(data),
            "CLICKHOUSE_URL": f"http://genesis:{PASSWORD}@127.0.0.1:{store.port}/default",
        }
        # The same server, on its present port.
        was.rename(spool(**environment)["folder"])
        assert f"{expected['waiting']} spans delivered, 0 still wait" in command("spool", "drain", **environment)
        rows, answered = asked(client, expected)
    assert rows == answered


def test_a_collectors_spool_is_found_and_delivered_with_every_span(tmp_path: Path) -> None:
    """The spool of a collector that was away is found under its name, and each span in it is sent over OTLP, once."""
    expected = EXPECTED["spool_otlp"]
    data = tmp_path / "data"
    was = unpacked("spool_otlp", data / "spool" / expected["folder"])
    found = spool(GENESIS_OTEL_DATA_DIR=str(data), OTEL_EXPORTER_OTLP_ENDPOINT=expected["url"])
    assert (found["folder"], state(found)) == (str(was), state(expected))
    with receiving() as receiver:
        environment = {"GENESIS_OTEL_DATA_DIR": str(data), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        was.rename(spool(**environment)["folder"])
        assert f"{expected['waiting']} spans delivered, 0 still wait" in command("spool", "drain", **environment)
    assert sorted(
        (span.span_id.hex(), span.name) for span in receiver.spans if "spool_state" not in span.name
    ) == spans_of(expected)


def test_dead_letters_are_read_and_delivered_with_every_row(tmp_path: Path) -> None:
    """Spans that a store refused are listed with run and reason, return to the spool, and arrive, each row once."""
    expected = EXPECTED["dead_letters"]
    folder = new_store(tmp_path / "data" / "store")
    unpacked("dead_letters", folder / "spool")
    environment = {"GENESIS_OTEL_DATA_DIR": str(tmp_path / "data")}
    assert spool(**environment)["dead"] == len(expected["letters"])
    letters = json.loads(command("spool", "dead", "--format", "json", **environment))
    assert [[Path(each["file"]).name, each["span"], each["run_id"]] for each in letters] == expected["letters"]
    assert all("Cannot parse" in each["reason"] for each in letters)
    assert f"{len(letters)} spans put back into the spool" in command("spool", "requeue", **environment)
    with opened(folder) as client:
        until(lambda: spool(**environment)["waiting"] == 0, "the delivery")
        found, rows = asked(client, expected)
    assert found == rows
    assert state(spool(**environment)) == {"queues": 0, "waiting": 0, "dead": 0, "dropped": 0}
