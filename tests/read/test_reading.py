"""`genesis_otel.connect()`: runs in a program or a notebook, on the search of `searched`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from clickhouse_connect.driver.exceptions import Error

import genesis_otel
from genesis_otel import queries, reading, spans
from genesis_otel._destinations import ANSWER_TIMEOUT
from genesis_otel._serve import client as store_process
from genesis_otel._store.errors import StoreError
from tests.support.between import Answer, Between, Request, between, passes
from tests.support.environment import take_settings_out
from tests.support.recording import record
from tests.support.searched import BEST, FACTS, GOING_ON, LATER, OF_BEST, RUN, TASK, code, end_store, fill, search_spans


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[reading.Store]:
    """A store with the ended and the running search, and its process."""
    data = tmp_path_factory.mktemp("reading")
    fill(data / "store", search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    with pytest.MonkeyPatch.context() as patch:
        take_settings_out(patch)
        patch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
        yield genesis_otel.connect()
    end_store(data / "store")


def test_a_named_query_gives_the_same_as_rows_arrow_and_pandas(store: reading.Store) -> None:
    """The rows are dicts; the engine's own Arrow table and pandas' frame have the same names and values."""
    answer = store.query("fitness_trajectory", run=RUN)
    assert len(answer) > 3 and answer[0] == next(iter(answer)) == answer.rows[0]
    table = answer.arrow()
    assert table.column_names == list(answer[0])
    assert table.num_rows == len(answer)
    frame = answer.pandas()
    assert list(frame.columns) == list(answer[0])
    for name in answer[0]:
        if isinstance(answer[0][name], (int, float, str)):
            assert frame[name].tolist() == [row[name] for row in answer]


def test_polars_and_types_other_than_numbers(store: reading.Store) -> None:
    """In polars, too, times are in UTC, text is text, and NULL stays NULL."""
    sql = "SELECT timestamp, model, error, NULL AS nothing FROM llm_logs ORDER BY timestamp LIMIT 3"
    answer = store.query(sql)
    frame = answer.polars()
    assert frame.columns == list(answer[0])
    assert frame["timestamp"].to_list() == [row["timestamp"] for row in answer]
    for name in ("model", "error", "nothing"):
        assert frame[name].to_list() == [row[name] for row in answer]


def test_times_in_whole_seconds_are_times_everywhere(store: reading.Store) -> None:
    """What `toStartOfHour` and its like return is a time in data frames, too, in its own time zone; other numbers stay numbers."""
    sql = """
        SELECT toStartOfHour(timestamp) AS hour, toDateTime('2024-06-01 12:00:00', 'Europe/Berlin') AS local,
            toUInt32(7) AS number, if(number % 2, hour, NULL) AS perhaps
        FROM llm_logs ORDER BY timestamp LIMIT 4;"""
    answer = store.query(sql)
    for rows in (answer.arrow().to_pylist(), answer.polars().to_dicts()):
        assert rows == list(answer)
    assert [str(kind) for kind in answer.arrow().schema.types][1:3] == ["timestamp[s, tz=Europe/Berlin]", "uint32"]
    assert answer.pandas()["hour"][0] == answer[0]["hour"]
    assert store.query("SELECT now() AS now WHERE 0").pandas()["now"].dtype.kind == "M"


def test_parquet_is_the_engines_own(store: reading.Store, tmp_path: Path) -> None:
    """The file has the rows and types of the Arrow answer; an existing file is kept."""
    answer = store.query("fitness_trajectory", run=RUN)
    file = answer.parquet(tmp_path / "trajectory.parquet")
    assert pyarrow.parquet.read_table(file).to_pylist() == answer.arrow().to_pylist()
    with pytest.raises(FileExistsError):
        answer.parquet(file)


def test_a_run_is_named_as_in_the_command(store: reading.Store) -> None:
    """By `latest`, its task, or a prefix of its id; an unknown run is a LookupError, as is an unknown query."""
    assert store.query("top_individuals").parameters["run_id"] == GOING_ON
    for named in ({"run": RUN[:-2]}, {"run_id": RUN[:-2]}):
        assert store.query("top_individuals", limit=1, **named)[0]["individual_id"] == BEST
    assert store.run(TASK).id == store.run().id == GOING_ON
    for asked in (
        lambda: store.run("nothing"),
        lambda: store.query("top_individual"),
        lambda: store.query("top_individuals", run_id="nothing"),
        lambda: store.query("top_individuals", run=""),
        lambda: store.run(RUN).individual("x"),
    ):
        with pytest.raises(LookupError):
            asked()
    with pytest.raises(queries.ParameterError, match="run_id"):
        store.query("runs", run=RUN)


def test_a_task_after_which_several_runs_are_named_is_its_newest_run(tmp_path: Path) -> None:
    """The name of a task is its newest run, whatever ids begin with it; the prefix of several ids names none of them, that of a single id is that run."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch)
        for at, (task, run_id) in enumerate(
            [("pack", "pack_1"), ("pack", "pack_2"), ("pack", "last"), ("sort", "sort_1"), ("sort", "z")]
        ):
            spans.run(task, run_id=run_id, start_time=1_800_000_000.0 + at).end()
    fill(tmp_path, recorded.spans)
    found = genesis_otel.connect(f"chdb://{tmp_path}")
    asked = {"pack": "last", "pack_1": "pack_1", "sort": "z", "sort_": "sort_1", "latest": "z"}
    assert {text: found.run(text).id for text in asked} == asked
    with pytest.raises(ValueError, match="several ids start with 'pack_'"):
        found.run("pack_")
    end_store(tmp_path)


def test_sql_reads_and_cannot_write(store: reading.Store) -> None:
    """A statement has its own parameters; one that writes is refused."""
    sql = "SELECT count() AS n FROM individuals WHERE run_id = {run_id:String} AND generation >= {least:Int32}"
    assert list(store.query(sql, run=RUN, least=3)) == [{"n": 4}]
    assert store.run(RUN).query(sql, least=0)[0]["n"] == len(FACTS)
    with pytest.raises(Exception, match="readonly"):
        store.query("TRUNCATE TABLE individuals").rows.clear()


def test_a_parameter_that_the_sql_lacks_is_refused(store: reading.Store) -> None:
    """ClickHouse ignores it: without this, the answer about all runs would pass for one about the run."""
    unused = r"the SQL does not use (run_id|most): write"
    with pytest.raises(queries.ParameterError, match=unused):
        store.query("SELECT count() FROM individuals", run=RUN)
    with pytest.raises(queries.ParameterError, match=unused):
        store.run(RUN).query("SELECT count() FROM individuals WHERE run_id LIKE '%'")
    with pytest.raises(queries.ParameterError, match=unused):
        store.query("SELECT {least:UInt8}", least=1, most=2)
    assert store.query("SELECT {least: UInt8} AS n", least=1)[0] == {"n": 1}


def test_a_thousand_queries_need_no_more_files_than_one(store: reading.Store) -> None:
    """Each query has its own client, but none leaves a connection open: a notebook has 1,024 files by default."""

    def open_files() -> int:
        assert store.query("SELECT 1 AS one")[0] == {"one": 1}
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    assert max(open_files() for _ in range(20)) <= before + 2


@contextlib.contextmanager
def slow(store: reading.Store) -> Iterator[tuple[reading.Store, Between]]:
    """The store behind a server that never answers a query that mentions 'slow'."""

    def behave(server: Between, request: Request) -> Answer:
        return server.hangs(server, request) if b"'slow'" in request.body else passes(server, request)

    address = store_process.running(store._settings.data_dir / "store")
    assert address
    with between(address.port, behave) as server:
        yield genesis_otel.connect(f"http://reader:{address.reader}@127.0.0.1:{server.port}/default"), server


def test_a_query_that_takes_long_holds_up_no_other_thread(store: reading.Store) -> None:
    """While one thread waits for its answer, another gets its own."""
    with slow(store) as (slow_store, server):

        def waits() -> None:
            with contextlib.suppress(Error):
                slow_store.query("SELECT 'slow'").rows.clear()

        waiting = threading.Thread(target=waits)
        waiting.start()
        while not any(b"'slow'" in request.body for request in server.requests):
            assert waiting.is_alive()
        found: list[int] = []
        other = threading.Thread(target=lambda: found.append(store.query("SELECT 2 AS n")[0]["n"]))
        other.start()
        other.join(60)
        assert found == [2] and waiting.is_alive()
        server.released.set()
        waiting.join()
        other.join()


def test_a_statement_has_as_long_as_in_the_command(
    store: reading.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody wrote may take long, in whichever form it is fetched."""
    monkeypatch.setattr("genesis_otel.reading.ANSWER_TIMEOUT", ANSWER_TIMEOUT / 600)
    with slow(store) as (slow_store, _):
        answer = slow_store.query("SELECT 'slow'")
        with pytest.raises(Error, match=r"read timeout=0\.5"):
            len(answer)
        with pytest.raises(Error, match=r"read timeout=0\.5"):
            answer.arrow()
        with pytest.raises(Error, match=r"read timeout=0\.5"):
            answer.parquet(tmp_path / "answer.parquet")


def test_a_run_and_its_best_individual(store: reading.Store) -> None:
    """What is needed most is an attribute, and its program is the exact text."""
    run = store.run(RUN)
    assert (run.task, run.status, run.best_score, run.unpriced) == (TASK, "completed", 0.97, 1)
    best = run.best
    assert (best.id, best.generation, best.fitness, best.parents) == (BEST, 4, 0.97, ["three_best"])
    assert best.code == code(OF_BEST) and best.metrics == {"accuracy": 0.97, "size": 121}
    assert repr(run).startswith(f"<Run {RUN}: {TASK}, completed, best 0.97, $")
    assert repr(best) == f"<Individual {BEST}: generation 4, fitness 0.97>"
    assert store.runs()[1]["run_id"] == RUN


def test_the_best_individual_is_the_best_whatever_others_are_called(tmp_path: Path) -> None:
    """`best` is not the start of an id such as `best_of_1`; only an individual of exactly this name is meant by it, and never by `Run.best`."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch)
        for run_id, others in (("one", ["best_1"]), ("several", ["best_1", "best_2"]), ("exact", ["best", "best_2"])):
            with spans.run("task", run_id=run_id) as run, run.generation(0) as generation:
                for name, fitness in (*((each, 0.1) for each in others), ("winner", 0.9)):
                    with generation.individual(name) as individual:
                        individual.record(fitness=fitness)
    fill(tmp_path, recorded.spans)
    found = genesis_otel.connect(f"chdb://{tmp_path}")
    runs = [found.run(run_id) for run_id in ("one", "several", "exact")]
    assert [each.best.id for each in runs] == ["winner"] * 3
    assert [each.individual("best").id for each in runs] == ["winner", "winner", "best"]
    assert runs[0].individual("best_").id == "best_1"
    end_store(tmp_path)


def test_a_notebook_shows_text_as_text(store: reading.Store) -> None:
    """Whatever a program or a value contains, the notebook shows it as text; of many rows it shows the first."""
    run = store.run(RUN)
    assert BEST in run._repr_html_() and code(OF_BEST) in run.best._repr_html_()
    hostile = store.query("SELECT '<script>alert(1)</script>' || char(27) AS \"<b>\", number FROM numbers(40)")
    page = hostile._repr_html_()
    assert "<script" not in page and "<b>" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    assert page.count("<tr>") == 31 and "10 more rows" in page
    assert repr(store.query("SELECT 1 AS `\\x1b[2J`")) == r"<Answer: 1 row of \x1b[2J>"
    assert repr(reading.Run(store, {**run.summary, "task_name": "\x1b[2J"})).startswith(rf"<Run {RUN}: \x1b[2J, ")
    assert repr(store.query("SELECT 1 WHERE 0")) == "<Answer: 0 rows>"
    shown = reading.Individual({**run.best.details, "code": "</pre><script>"})._repr_html_()
    assert "<script" not in shown


def test_it_is_read_while_the_process_of_the_store_ends(store: reading.Store) -> None:
    """A store can be read after its process has ended: another one is started."""
    before = store.run(RUN).summary
    folder = store._settings.data_dir / "store"
    end_store(folder)
    after = store.run(RUN).summary
    # In which order an engine adds the same costs is its own business.
    assert after["cost"] == pytest.approx(before["cost"])
    assert {**after, "silent_seconds": before["silent_seconds"], "cost": before["cost"]} == before


def test_a_package_that_is_missing_is_named(store: reading.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        store.query("runs").polars()


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """It is reported when connecting, and nothing is created."""
    with pytest.raises(StoreError, match="there is no store"):
        genesis_otel.connect(f"chdb://{tmp_path}/nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """The error says what to check; the client's own log line, which says less, is not written."""
    with pytest.raises(StoreError, match=r"Connection refused at http://127\.0\.0\.1:9: check host and port"):
        genesis_otel.connect("http://u:secret@127.0.0.1:9/x")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
