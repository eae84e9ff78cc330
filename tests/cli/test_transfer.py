"""Exporting, importing and deleting runs: what `export`, `import` and `delete` do, on the searches of `searched`."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import typer
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._cli.app import main
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.requeue import requeue
from genesis_otel._ship.encoding.codec import encode
from genesis_otel._ship.run_memory import RunMemory
from genesis_otel._ship.spool import dead_letters
from genesis_otel._ship.spool.writer import Writer
from genesis_otel._store import archive, deleted
from genesis_otel._store.tables import SCHEMA, STORED_IN
from tests.support import rows_of_run
from tests.support.command import asked_on_terminal
from tests.support.environment import take_settings_out, without_settings
from tests.support.recording import record
from tests.support.searched import FACTS, GOING_ON, LATER, RUN, end_store, fill, search_spans
from tests.support.waiting import until

Ran = tuple[int, str, str]
Run = Callable[..., Ran]

SPANS = search_spans()
RUNNING = search_spans(GOING_ON, ends=False, facts=LATER)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose store holds a search that ended and one that is still running."""
    data = tmp_path / "source"
    fill(data / "store", SPANS, RUNNING)
    yield data
    end_store(data / "store")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A data folder without a store."""
    data = tmp_path / "target"
    data.mkdir()
    yield data
    end_store(data / "store")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command on the store of a data folder: exit code, output, errors."""
    take_settings_out(monkeypatch)

    def ran(data: Path, *arguments: str) -> Ran:
        monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
        code = main(arguments)
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return ran


@contextlib.contextmanager
def opened(data: Path) -> Iterator[Client]:
    with contextlib.closing(store_process.open_store(data / "store", start=True)) as client:
        yield client


def number(client: Client, sql: str, run_id: str) -> int:
    """The count that a statement about a run returns."""
    ((counted,),) = client.query(sql, parameters={"run": run_id}).result_rows
    return int(counted)


def content(client: Client, run_id: str = RUN) -> dict[str, Sequence[Sequence[object]]]:
    """All rows of a run, without the time they were stored."""
    return rows_of_run.rows(client, run_id)


def test_a_run_is_copied_into_another_store_once(run: Run, source: Path, target: Path, tmp_path: Path) -> None:
    """Every value of every row arrives unchanged, floats to the last digit, texts that are not UTF-8 byte by byte; importing the same
    file again adds nothing."""
    file = tmp_path / "search.zip"
    with opened(source) as client:
        client.command(
            "ALTER TABLE individuals UPDATE fitness_score = 0.1 + 0.2, combined_score = 5e-324, code = unhex('ff00c3280a') "
            "WHERE individual_id = 'four_a'"
        )
        before = content(client)
    assert all(before.values())
    code, out, err = run(source, "export", RUN, "-o", str(file))
    assert (code, out) == (0, f"{file}\n") and "13 individuals" in err
    code, _, err = run(target, "import", str(file))
    assert code == 0 and "13 individuals" in err and "already" not in err, err
    with opened(target) as client:
        assert content(client) == before
        code, _, err = run(target, "import", str(file))
        assert code == 0 and f"nothing imported; {sum(map(len, before.values()))} rows already there" in err
        assert content(client) == before
    assert run(target, "best", RUN, "--code") == run(source, "best", RUN, "--code")
    code, _, err = run(source, "export", RUN, "-o", str(file))
    assert code == 2 and "already exists" in err


def test_times_do_not_depend_on_the_time_zone_of_a_machine(
    run: Run, source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was exported in one time zone and imported in another has its times, whether a store process serves the stores or not."""
    file = tmp_path / "search.zip"
    times = "SELECT toUnixTimestamp64Milli(start_time) FROM evolution_runs WHERE run_id = {run:String}"

    def moment(data: Path) -> int:
        with opened(data) as client:
            return number(client, times, RUN)

    began = moment(source)
    end_store(source / "store")
    monkeypatch.setenv("TZ", "America/New_York")
    assert moment(source) == began
    assert run(source, "export", RUN, "-o", str(file))[0] == 0
    end_store(source / "store")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with opened(target):  # from now on, a process serves it
        pass
    assert run(target, "import", str(file))[0] == 0
    assert moment(target) == began


def raw(client: Client, run_id: str = RUN) -> Sequence[Sequence[object]]:
    """A run's raw rows, with their number of copies."""
    return rows_of_run.raw_rows(client, run_id)


def test_raw_traces_are_exported_on_request(run: Run, source: Path, target: Path, tmp_path: Path) -> None:
    """Into an empty store, one that has the rows, and one that has some of the spans: each span is there once,
    unchanged; no row of the seven tables is created again, even one that has been changed since; and a trace is found
    by its time. By default they are not exported."""
    file, without = tmp_path / "raw.zip", tmp_path / "rows.zip"
    with opened(source) as client:
        client.command("ALTER TABLE individuals UPDATE fitness_score = 0.25 WHERE individual_id = 'four_a'")
        rows, spans_of = content(client), raw(client)
    assert len(spans_of) == len(SPANS)
    code, _, err = run(source, "export", RUN, "--raw-traces", "-o", str(file))
    assert code == 0 and f"{len(SPANS)} otel_traces" in err
    code, _, err = run(source, "export", RUN, "-o", str(without))
    assert code == 0 and "otel_traces" not in err
    code, _, err = run(target, "import", str(file))
    assert code == 0 and f"{len(SPANS)} otel_traces" in err and "already" not in err, err

    def agree(client: Client) -> None:
        assert raw(client) == spans_of
        assert content(client) == rows
        found = "SELECT uniqExact(TraceId) FROM otel_traces WHERE TraceId NOT IN (SELECT TraceId FROM otel_traces_trace_id_ts)"
        assert client.command(found) == 0
        assert client.command("SELECT count() FROM system.tables WHERE name LIKE 'otel_traces_import%'") == 0

    with opened(target) as client:
        agree(client)
        assert "nothing imported" in run(target, "import", str(file))[2]
        agree(client)
        client.command(
            "ALTER TABLE otel_traces DELETE WHERE SpanName LIKE 'individual%'", settings={"mutations_sync": 2}
        )
        few = len(raw(client))
        assert 0 < few < len(SPANS)
        assert f"{len(SPANS) - few} otel_traces imported" in run(target, "import", str(file))[2]
        agree(client)
        assert run(target, "delete", RUN, "--yes", "--raw-traces")[0] == 0
        assert run(target, "import", str(file), "--without-raw-traces")[0] == 0
        assert (content(client), raw(client)) == (rows, [])
        assert f"{RUN}: {len(SPANS)} otel_traces imported" in run(target, "import", str(file))[2]
        agree(client)


def test_a_later_export_of_a_run_adds_its_new_rows(run: Run, target: Path, source: Path, tmp_path: Path) -> None:
    """Two exports of the same run, before and after more of it was recorded: the second import adds the rows between."""
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    assert run(source, "export", GOING_ON, "-o", str(first))[0] == 0
    assert run(source, "note", GOING_ON, "more to come")[0] == 0
    assert run(source, "export", GOING_ON, "-o", str(second))[0] == 0
    assert run(target, "import", str(first))[0] == 0
    code, _, err = run(target, "import", str(second))
    assert code == 0 and f"{GOING_ON}: 1 agent_actions imported" in err


def test_a_run_that_continues_is_brought_up_to_date(
    run: Run, source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends again, and a generation that is opened again too, as the same spans as before: the target has what the source has, raw traces
    included, whichever file is imported first, and a second import adds nothing."""
    files = []
    for number in range(2):
        recorded = record(monkeypatch)
        with spans.run("t", run_id="goes_on") as search, search.generation(0) as generation:
            for each in range(2 - number):
                with generation.individual(f"{number}-{each}") as individual:
                    individual.record(fitness=number + each / 10)
        fill(source / "store", recorded.spans)
        files.append(tmp_path / f"{number}.zip")
        assert run(source, "export", "goes_on", "--raw-traces", "-o", str(files[-1]))[0] == 0
    with opened(source) as client:
        rows, spans_of = once(client), raw(client, "goes_on")
    assert [len(rows[table]) for table in ("evolution_runs_log", "generations", "individuals")] == [4, 1, 3]
    assert len(spans_of) == 2 * 3 + 3 > len({tuple(row)[1:3] for row in spans_of})
    for order in (files, files[::-1]):
        for file in order:
            assert run(target, "import", str(file))[0] == 0
        with opened(target) as client:
            assert (once(client), raw(client, "goes_on")) == (rows, spans_of)
        assert "nothing imported" in run(target, "import", str(files[1]))[2]
        assert run(target, "delete", "goes_on", "--yes", "--raw-traces")[0] == 0


def test_another_search_with_the_same_id_is_refused(
    run: Run, source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the one that is there changes, and the error says where the file can go; a run that began there and continued in another
    store becomes whole."""

    def searched(data: Path, run_id: str, *generations: int) -> None:
        recorded = record(monkeypatch)
        with spans.run("t", run_id=run_id) as search:
            for number in generations:
                with search.generation(number) as generation, generation.individual() as individual:
                    individual.record(fitness=number)
        fill(data / "store", recorded.spans)

    files = {run_id: tmp_path / f"{run_id}.zip" for run_id in ("twin", "half")}
    searched(target, "twin", 0, 1)
    searched(target, "half", 0, 1)
    searched(source, "twin", 0, 1)
    searched(source, "half", 1, 2)
    for run_id, file in files.items():
        assert run(source, "export", run_id, "-o", str(file))[0] == 0
    with opened(target) as client:
        before = content(client, "twin")
        code, out, err = run(target, "import", str(files["twin"]))
        assert (code, out) == (1, "") and err.startswith("Error: the store has another search with the id twin")
        assert "nothing was imported" in err and "--url" in err and content(client, "twin") == before
        assert run(target, "import", str(files["half"]))[0] == 0
        assert number(client, "SELECT uniqExact(generation) FROM generations WHERE run_id = {run:String}", "half") == 3
    assert run(target, "delete", "twin", "--yes")[0] == 0
    assert run(target, "import", str(files["twin"]))[0] == 0


def once(client: Client) -> dict[str, list[Sequence[object]]]:
    """All rows of the run that continues, as if they had been merged."""
    return {
        table: list(
            client.query(
                f"SELECT * EXCEPT (ingested_at) FROM {table} FINAL WHERE run_id = 'goes_on' ORDER BY ALL"
            ).result_rows
        )
        for table in STORED_IN.values()
    }


def rewritten(file: Path, to: Path, **changes: bytes | None) -> Path:
    """A copy of an export with members replaced; None omits one."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            told = changes.get(name.partition(".")[0].replace("-", "_"), old.read(name))
            if told is not None:
                new.writestr(name, told)
    return to


def test_an_invalid_file_changes_nothing(run: Run, source: Path, target: Path, tmp_path: Path) -> None:
    """If it is truncated, altered, of a later or earlier schema, or not an export, that is reported and the store stays
    empty."""
    file = tmp_path / "search.zip"
    assert run(source, "export", RUN, "-o", str(file))[0] == 0
    whole = file.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    at = whole.index(b"individuals.jsonl") + 200
    (tmp_path / "altered.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    with zipfile.ZipFile(file) as archived:
        head = json.loads(archived.read(archive.HEAD))
        lines = archived.read("individuals.jsonl").splitlines(keepends=True)
    later, earlier = ({**head, "schema": head["schema"] + step} for step in (1, -1))
    fewer = b"".join(lines[1:])
    foreign = b"".join([lines[0].replace(RUN.encode(), b"another"), *lines[1:]])
    cases = {
        "cut.zip": "damaged",
        "altered.zip": "damaged",
        rewritten(file, tmp_path / "later.zip", genesis_otel=json.dumps(later).encode()).name: "a later genesis-otel",
        rewritten(
            file, tmp_path / "earlier.zip", genesis_otel=json.dumps(earlier).encode()
        ).name: "an earlier genesis-otel",
        rewritten(file, tmp_path / "fewer.zip", individuals=fewer).name: "12 of 13 rows",
        rewritten(file, tmp_path / "foreign.zip", individuals=foreign).name: "another run",
        rewritten(file, tmp_path / "missing.zip", generations=None).name: "generations is missing",
        rewritten(
            file, tmp_path / "nameless.zip", individuals=b"".join(lines).replace(b'"span_id"', b'"spam_id"')
        ).name: "a row of individuals has no span_id",
        rewritten(file, tmp_path / "headless.zip", genesis_otel=None).name: "not a genesis-otel export",
    }
    for name, said in cases.items():
        code, _, err = run(target, "import", str(tmp_path / name))
        assert code == 1 and said in err, (name, err)
    with opened(target) as client:
        assert not any(content(client).values())


def test_a_full_disk_is_named_and_leaves_no_file(source: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: exit code 1, the file that cannot be written, nothing beside it."""
    environment = {**without_settings(), "GENESIS_OTEL_DATA_DIR": str(source)}
    for command in (["export", "latest", "--raw-traces"], ["query", "SELECT * FROM numbers(100000)"]):
        file = tmp_path / f"{command[0]}.out"
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, *command, "-o", str(file)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            1,
            f"Error: {file} cannot be written: File too large",
        )
    assert not list(tmp_path.glob("*.out")) + list(tmp_path.glob(".*"))


LIMITED = """
import resource, signal, sys
from genesis_otel._cli.app import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))
"""


def marked(file: Path, to: Path, local: int, central: int, value: int) -> Path:
    """The archive with a byte of each member's headers set, at these offsets in the member's own and in the directory's."""
    content = bytearray(file.read_bytes())
    for header, at in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        for found in re.finditer(header, bytes(content)):
            content[found.start() + at] = value
    to.write_bytes(content)
    return to


def test_a_hostile_file_is_an_error_like_any_other(
    run: Run, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encrypted, in an unknown compression, with JSON nested too deeply, with numbers that are none, or unpacking to more than a header or
    a row can have: one line, without a traceback."""
    monkeypatch.setattr(archive, "LONGEST_ROW", 1 << 16)
    rows = dict.fromkeys(archive.ORDER, 0) | {"individuals": 1}
    head = {"format": archive.FORMAT, "run_id": "r", "task": "t", "schema": SCHEMA, "rows": rows}

    def made(name: str, told: str, row: bytes = b"{}", compression: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", compression) as file:
            file.writestr(archive.HEAD, told)
            for table in archive.ORDER:
                file.writestr(f"{table}.jsonl", row + b"\n" if table == "individuals" else b"")
        return tmp_path / name

    usual = made("usual.zip", json.dumps(head))
    packed = made("packed.zip", json.dumps(head), compression=zipfile.ZIP_BZIP2)
    content = packed.read_bytes()
    (tmp_path / "spoilt.zip").write_bytes(content[:70] + bytes(20) + content[90:])
    files = (
        made("deep.zip", json.dumps(head), b'{"run_id": "r", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        made("deep_head.zip", "[" * 200_000),
        made("infinite.zip", '{"format": Infinity}'),
        made("long.zip", json.dumps(head), b'{"run_id": "r", "x": "' + b"x" * (1 << 17) + b'"}'),
        made("long_head.zip", json.dumps(head | {"task": "x" * archive.LONGEST_HEAD})),
        marked(usual, tmp_path / "encrypted.zip", 6, 8, 1),
        marked(usual, tmp_path / "unknown.zip", 8, 10, 77),
        tmp_path / "spoilt.zip",
    )
    for file in files:
        code, _, err = run(target, "import", str(file))
        assert code == 1 and "Traceback" not in err, (file, err)
        assert "damaged" in err or "not a genesis-otel export" in err, (file, err)


def test_an_interrupted_import_says_so_and_can_be_repeated(
    run: Run, source: Path, target: Path, tmp_path: Path
) -> None:
    """If the store refuses a table's rows, the error says how much was imported, the run is not listed, and the next
    import completes it."""
    file = tmp_path / "search.zip"
    assert run(source, "export", RUN, "-o", str(file))[0] == 0
    with opened(source) as client:
        whole = content(client)
    assert run(target, "init")[0] == 0
    with opened(target) as client:
        client.command("ALTER TABLE llm_logs MODIFY COLUMN model UInt8")
        code, _, err = run(target, "import", str(file))
        assert code == 1 and "the import was interrupted: " in err and "Import the file again" in err
        assert RUN not in run(target, "runs")[1]
        client.command("ALTER TABLE llm_logs MODIFY COLUMN model LowCardinality(String)")
        assert run(target, "import", str(file))[0] == 0
        assert content(client) == whole


def test_delete_lists_the_rows_and_asks(run: Run, source: Path) -> None:
    """Without --yes and without a terminal nothing is deleted; a running run only with --force; other runs stay."""
    with opened(source) as client:
        whole, other = content(client), content(client, GOING_ON)
        code, _, err = run(source, "delete", RUN)
        assert code == 2 and "13 individuals" in err and "--yes" in err
        assert content(client) == whole
        memory = RunMemory(source / "runs")
        for run_id in (RUN, GOING_ON):
            memory.keep(run_id, {"completed": 0})
        code, _, err = run(source, "delete", RUN, "--yes")
        assert code == 0 and f"{RUN}: deleted" in err
        assert not list(memory.recall(RUN)) and list(memory.recall(GOING_ON))
        assert not any(content(client).values()) and content(client, GOING_ON) == other
        assert RUN not in run(source, "runs")[1] and run(source, "show", RUN)[0] == 3


def test_a_running_run_is_not_deleted_by_accident(run: Run, target: Path) -> None:
    """A run with a recent sign of life is not deleted, except with --force."""
    now = time.time_ns()
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch)
        spans.run("task", run_id="alive", start_time=now).individual("one", start_time=now).end(now)
        fill(target / "store", recorded.spans)
    code, _, err = run(target, "delete", "alive", "--yes")
    assert code == 2 and "still running" in err and "--force" in err
    with opened(target) as client:
        assert client.command("SELECT count() FROM individuals") == 1
        assert run(target, "delete", "alive", "--yes", "--force")[0] == 0
        assert client.command("SELECT count() FROM individuals") == 0


def test_raw_traces_are_deleted_on_request_if_they_are_ours(run: Run, source: Path) -> None:
    """They stay by default and are deleted with --raw-traces, but never those of other runs; a table that a collector
    created is not touched."""
    counted = "SELECT countIf(SpanAttributes['genesis.run.id'] = {run:String}) FROM otel_traces"
    with opened(source) as client:
        assert run(source, "delete", RUN, "--yes")[0] == 0
        assert number(client, counted, RUN) > 30
        assert run(source, "delete", RUN, "--yes", "--raw-traces")[0] == 0
        assert number(client, counted, RUN) == 0
        assert number(client, counted, GOING_ON) > 0
        client.command("ALTER TABLE otel_traces RESET SETTING non_replicated_deduplication_window")
        code, _, err = run(source, "delete", GOING_ON, "--yes", "--raw-traces")
        assert code == 1 and "created by a collector" in err


def test_late_spans_do_not_bring_a_run_back(run: Run, source: Path) -> None:
    """Spans of a deleted run that a spool or the dead letters still hold disappear again soon after their delivery,
    while a new search with the same id stays."""
    folder = source / "store" / store_folder.SPOOL
    with opened(source) as client:
        assert run(source, "delete", RUN, "--yes")[0] == 0
        half = len(SPANS) // 2
        with contextlib.closing(Writer(folder, segment_bytes=1 << 20, spool_bytes=1 << 24)) as writer:
            for span in SPANS[:half]:
                writer.append(encode(span))
        # Not all of them: both queues may be sent as one block, and one that was inserted before would be recognised.
        refuse(folder, SPANS[half:-1])
        assert requeue(folder, Limits()) == len(SPANS) - half - 1
        came = "SELECT count() FROM otel_traces WHERE SpanAttributes['genesis.run.id'] = {run:String}"
        arrived = 2 * len(SPANS) - 1
        until(lambda: number(client, came, RUN) == arrived, "the arrival of the late spans")
        until(lambda: not any(content(client).values()), "the removal of the late rows")
        now = time.time_ns()
        with pytest.MonkeyPatch.context() as patch:
            recorded = record(patch)
            begun = spans.run("task", run_id=RUN, start_time=now)
            begun.individual("anew", start_time=now).end(now)
            begun.end()
        fill(source / "store", [*recorded.spans, *SPANS])
        # The late rows disappear table by table, so all of the tables are waited for.
        left = {"evolution_runs_log": 2, "individuals": 1, "code_lineages": 1}
        until(
            lambda: {table: len(rows) for table, rows in content(client).items() if rows} == left,
            "the removal of late rows",
        )
        kept = "SELECT individual_id FROM individuals WHERE run_id = {run:String}"
        assert client.query(kept, parameters={"run": RUN}).result_rows == [("anew",)]
        assert not deleted.sweep(client)


@pytest.mark.parametrize("again", ["imported", "begun"])
def test_a_run_that_comes_back_during_the_removal_of_late_rows_stays_whole(
    run: Run, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """It is imported, or its first rows arrive, after the tombstones were read and before a statement removes rows. Of a new run even the
    row that says when it began may come last."""
    file = tmp_path / "search.zip"
    assert run(source, "export", RUN, "--raw-traces", "-o", str(file))[0] == 0
    assert run(source, "delete", RUN, "--yes", "--raw-traces")[0] == 0
    with opened(source) as client:
        count, came = deleted._count, list[dict[str, Sequence[object]]]()

        def counts(client: Client, table: str, condition: str, asked: dict[str, object]) -> int:
            if "until" in asked and not came:
                if again == "imported":
                    assert run(source, "import", str(file))[0] == 0
                else:
                    recorded = record(monkeypatch)
                    with spans.run("task", run_id=RUN) as begun, begun.individual("anew") as individual:
                        individual.record(fitness=1)
                    fill(source / "store", recorded.spans)
                    client.command(
                        "DELETE FROM evolution_runs_log WHERE run_id = {run:String}", parameters={"run": RUN}
                    )
                came.append({**content(client), "otel_traces": raw(client)})
            return count(client, table, condition, asked)

        monkeypatch.setattr(deleted, "_count", counts)
        assert not deleted.sweep(client)
        assert came[0]["individuals"] and came[0]["otel_traces"]
        assert {**content(client), "otel_traces": raw(client)} == came[0]


def test_a_run_that_is_resumed_before_the_answer_is_not_deleted(
    run: Run, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question may stand for an hour: what is deleted then is still a run that has ended."""

    def confirm(*_: object, **__: object) -> bool:
        recorded = record(monkeypatch)
        spans.run("t", run_id=RUN).individual("resumed").end()
        fill(source / "store", recorded.spans)
        return True

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", confirm)
    with opened(source) as client:
        code, _, err = run(source, "delete", RUN)
        assert code == 2 and "still running" in err
        assert number(client, "SELECT count() FROM individuals WHERE run_id = {run:String}", RUN) == len(FACTS) + 1


def test_only_a_yes_deletes(run: Run, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No, nothing, and the end of the input (as Ctrl-C) leave the run as it is; none of them is an error of the program."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(source))
    for typed, code in ((b"n\n", 0), (b"\n", 0), (b"\x04", 130)):
        ended, shown = asked_on_terminal(typed, "delete", RUN)
        assert ended == code and "Delete them? [y/N]: " in shown and "Error" not in shown
        assert run(source, "show", RUN)[0] == 0
    ended, shown = asked_on_terminal(b"y\n", "delete", RUN)
    assert ended == 0 and shown.endswith(f"{RUN}: deleted\n")
    assert run(source, "show", RUN)[0] == 3


def test_a_reader_in_mid_query_sees_the_run_as_it_was(run: Run, source: Path, tmp_path: Path) -> None:
    """A query in progress gets all of its rows while the run is exported, deleted, delivered again and imported."""
    file, folder = tmp_path / "search.zip", source / "store" / store_folder.SPOOL
    with opened(source) as client, opened(source) as reading:
        whole = content(client)
        sql = "SELECT individual_id, number, sleepEachRow(0.0001) FROM individuals CROSS JOIN numbers(20000) AS n WHERE run_id = {run:String}"
        settings = {"max_block_size": 1000, "max_threads": 1, "function_sleep_max_microseconds_per_block": 0}
        with reading.query_row_block_stream(sql, parameters={"run": RUN}, settings=settings) as blocks:
            seen = list(next(iter(blocks)))
            assert run(source, "export", RUN, "-o", str(file))[0] == 0
            assert run(source, "delete", RUN, "--yes")[0] == 0
            assert not any(content(client).values())
            refuse(folder, SPANS)
            assert run(source, "spool", "requeue")[0] == 0
            assert run(source, "import", str(file))[0] == 0
            assert content(client) == whole
            for block in blocks:
                seen.extend(block)
        assert len(seen) == 20_000 * len(whole["individuals"])
        assert {row[0] for row in seen} == {fact.id for fact in FACTS}


def refuse(folder: Path, ended: Sequence[ReadableSpan]) -> None:
    """Put spans among the dead letters of a spool."""
    for span in ended:
        dead_letters.bury(folder, encode(span), "refused")
