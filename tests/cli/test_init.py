"""`init`: retention, spans that a collector stored before, tables of the first logger."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from genesis_otel._serve import client as store_process
from tests.support.command import Run, server_url

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_init_sets_retention_and_reports_it(run: Run, empty: Path) -> None:
    """Retention is set and reported; a second time there is nothing to do; 0 keeps everything again."""
    code, out, _ = run("init", "--llm-logs-ttl-days", "30", "--agent-actions-ttl-days", "60", "--traces-ttl-days", "7")
    assert code == 0
    assert "llm_logs keeps rows for 30 days" in out and "agent_actions keeps rows for 60 days" in out
    assert "otel_traces keeps rows for 7 days" in out
    assert run("init") == (0, "Nothing to do: the tables are up to date.\n", "")
    assert "llm_logs keeps all rows" in run("init", "--llm-logs-ttl-days", "0")[1]


def test_init_fills_the_tables_from_a_collectors_otel_traces(run: Run, filled: Path) -> None:
    """With spans that a collector stored before: --backfill says what the tables gained, and the second time that there
    is nothing to do."""
    url = server_url(filled, "theirs")
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE theirs")
        client.command("CREATE TABLE theirs.otel_traces AS default.otel_traces ENGINE = MergeTree ORDER BY Timestamp")
        client.command("INSERT INTO theirs.otel_traces SELECT * FROM default.otel_traces")
    code, out, err = run("--url", url, "init", "--backfill")
    assert code == 0
    assert "created table individuals" in out and "otel_traces\n" not in out
    assert re.search(r"^20\d\d-\d\d-\d\d \d\d:00: [\d,]+ spans, [\d,]+ rows gained$", err, re.MULTILINE)
    gained = int(re.search(r"The tables gained .*individuals (\d+)", out)[1])  # type: ignore[index]
    assert run("--url", url, "query", "SELECT count() AS n FROM individuals")[1] == f"n\n{gained}\n"
    assert run("query", "SELECT count() AS n FROM individuals")[1] == f"n\n{gained}\n"
    code, out, _ = run("--url", url, "init", "--backfill")
    assert (code, out) == (
        0,
        "Nothing to do: the tables are up to date.\nNothing to backfill: every span of a search has its rows.\n",
    )


@pytest.mark.parametrize(
    "command", ["runs", "best x", "export x", "delete x --yes", "tag x y", "reprice", "dedupe", "query budget", "watch"]
)
def test_a_database_without_tables_says_init(
    command: str, run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the table and what creates it, and that the database may be another one; not the statement that failed."""
    with contextlib.closing(store_process.open_store(filled / "store", start=True)) as client:
        client.command("CREATE DATABASE IF NOT EXISTS bare")
    monkeypatch.setenv("CLICKHOUSE_URL", server_url(filled, "bare"))
    code, out, err = run(*command.split())
    assert (code, out, err.count("\n")) == (1, "", 1) and re.match(
        "Error: the database has no table (evolution_runs_log|llm_logs): genesis-otel init creates .*CLICKHOUSE_URL$",
        err,
    )


def test_init_takes_over_the_first_loggers_tables(run: Run, filled: Path) -> None:
    """For a database of the first logger, given by its URL: check says what to do, init keeps every row, and then check
    finds no fault."""
    url = server_url(filled, "first_logger")
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE first_logger")
        client.command(
            "CREATE TABLE first_logger.llm_logs (id UUID, timestamp DateTime64(3), model String, messages String, response String, "
            "thought String, cost Float64, execution_time Float64, metadata String) ENGINE = MergeTree ORDER BY timestamp"
        )
        client.command(
            "INSERT INTO first_logger.llm_logs SELECT generateUUIDv4(), now64(3), 'gpt-4', '[]', 'r', 't', 0.5, 1, '{}' FROM numbers(5)"
        )
    code, _, err = run("--url", url, "check")
    assert code == 1 and "genesis-otel init" in err
    code, out, _ = run("--url", url, "init")
    assert code == 0 and "took over 5 rows of the first logger's llm_logs" in out
    assert run("--url", url, "query", "SELECT count() AS n, sum(cost) AS cost FROM llm_logs")[1] == "n\tcost\n5\t2.5\n"
    assert run("--url", url, "check")[0] == 0
