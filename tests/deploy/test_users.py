"""The users and settings of ClickHouse in the services, on the real engine: each may do its work and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from genesis_otel._store import tables
from tests.support.services import DEPLOY, as_user, statements

DENIED, READ_ONLY = 497, 164
SPAN = """
INSERT INTO genesis.otel_traces (Timestamp, TraceId, SpanId, SpanName, SpanAttributes, Events.Timestamp, Events.Name, Events.Attributes)
SETTINGS async_insert = 0, insert_deduplicate = 1, deduplicate_blocks_in_dependent_materialized_views = 1,
    parallel_view_processing = 1, compile_expressions = 0, throw_on_max_partitions_per_insert_block = 0, max_execution_time = 65
VALUES
"""
SPANS = SPAN + ", ".join(
    f"(now64(9), '0{number}', '1{number}', 's', map('genesis.record', '{record}', 'genesis.run.id', 'r', {more}), {events})"
    for number, (record, more, events) in enumerate(
        [
            ("run", "'genesis.run.status', 'running'", "[], [], []"),
            (
                "generation",
                "'genesis.generation.number', '0'",
                "[now64(9)], ['genesis.pareto_front'], [map('genesis.pareto_front.members', '[{\"individual_id\":\"i\"}]')]",
            ),
            ("individual", "'genesis.individual.id', 'i', 'genesis.lineage.parent_id', 'p'", "[], [], []"),
            ("", "'gen_ai.operation.name', 'chat', 'gen_ai.request.model', 'm'", "[], [], []"),
            ("action", "'genesis.action.action_type', 'a'", "[], [], []"),
        ]
    )
)
COUNTS = [f"SELECT count() FROM genesis.{table}" for table in tables.TABLES]
OF_THE_COLLECTOR = ["DESCRIBE TABLE genesis.otel_traces", "SELECT displayName(), version(), revision(), timezone()"]
READS = ["SELECT count() FROM genesis.otel_traces"]
REPRICE = "ALTER TABLE genesis.llm_logs UPDATE cost = 1 WHERE 0 SETTINGS mutations_sync = 2"
FOREIGN = [
    "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "SELECT * FROM file('x', CSV, 'a String')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "CREATE DATABASE other",
    "CREATE USER other",
    "GRANT ALL ON genesis.* TO ingest",
    "SYSTEM SHUTDOWN",
]
CHANGES = [
    "INSERT INTO genesis.individuals (run_id) VALUES ('x')",
    "ALTER TABLE genesis.individuals DELETE WHERE 1",
    "ALTER TABLE genesis.llm_logs UPDATE cost = 1 WHERE 1",
    "TRUNCATE TABLE genesis.otel_traces",
    "DROP TABLE genesis.individuals",
    "DROP DATABASE genesis",
    "CREATE TABLE genesis.mine (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE mine (a Int8)",
    "OPTIMIZE TABLE genesis.individuals FINAL",
]


@pytest.fixture
def server(secrets: Path, tmp_path: Path) -> Path:
    """A folder in which the engine starts as in the container, with the users and settings of the services."""
    for folder, source in (("users.d", secrets / "clickhouse"), ("config.d", DEPLOY / "clickhouse")):
        (tmp_path / folder).mkdir()
        for path in source.glob("*.xml" if folder == "users.d" else "config.xml"):
            shutil.copyfile(path, tmp_path / folder / path.name)
    return tmp_path


def test_each_user_may_do_its_work_and_nothing_else(server: Path) -> None:
    """The owner creates and changes the tables; `ingest` adds spans, which fill the seven tables, but reads and changes
    nothing; `grafana` reads, runs every named query, and changes nothing. None has access outside the database."""
    # The owner may read and write files, for backups.
    foreign = [each for each in FOREIGN[:-1] if " file(" not in each]
    made, again, repriced, *refused = as_user(server, "genesis", ["init", "init", REPRICE, *foreign])
    assert {"created table otel_traces", *(f"created view {view}" for view, _, _ in tables.views())} <= set(made)
    assert again == [] and len(repriced) == 1
    assert refused == [DENIED] * len(refused)

    done = as_user(server, "ingest", [*OF_THE_COLLECTOR, "ensure", SPANS, *READS, *COUNTS, *CHANGES, *FOREIGN])
    described, told, looked, inserted, *refused = done
    assert len(described) > 15 and len(told) == 1 and looked is None and inserted == []
    assert refused == [DENIED] * len(refused)

    *counted, queried, read = as_user(server, "grafana", [*COUNTS, "queries", *READS])
    assert counted == [[["1"]]] * len(COUNTS) and read == [["5"]] and len(queried) > 30
    refused = as_user(server, "grafana", [*CHANGES, *FOREIGN])
    assert set(refused) <= {DENIED, READ_ONLY}


def test_on_other_servers_the_documented_statement_lets_ingest_do_without_read_access(server: Path) -> None:
    """A server that stores views without a definer requires the inserting user to have read access; after the statement
    that docs/production.md gives for this, `ingest` does not need it there either."""
    (server / "config.d" / "config.xml").unlink()
    as_user(server, "genesis", ["init"])
    assert as_user(server, "ingest", [SPANS]) == [DENIED]
    altered = [each for each in statements() if "MODIFY SQL SECURITY" in each]
    assert {re.search(r"TABLE genesis\.(\w+)", each)[1] for each in altered} == {view for view, _, _ in tables.views()}  # type: ignore[index]
    # The owner has another name here.
    as_user(server, "genesis", [each.replace("CURRENT_USER", "genesis") for each in altered])
    assert as_user(server, "ingest", [SPANS, *READS]) == [[], DENIED]
    assert as_user(server, "grafana", COUNTS) == [[["1"]]] * len(COUNTS)


def test_an_upgrade_keeps_a_view_s_definer(server: Path) -> None:
    """A view that init upgrades still runs with its owner's rights."""
    stale = "ALTER TABLE genesis.individuals_mv MODIFY COMMENT 'genesis-otel of before'"
    made, _, upgraded = as_user(server, "genesis", ["init", stale, "init"])
    assert made and upgraded == ["upgraded view individuals_mv"]
    assert as_user(server, "ingest", [SPANS]) == [[]]


def test_the_owner_backs_up_and_restores(server: Path) -> None:
    """The documented statements work as the owner, in the folder that the server allows, and for no other user."""
    config = server / "config.d" / "config.xml"
    config.write_text(config.read_text().replace("/backups/", f"{server}/backups/"))
    documented = [each for each in statements() if each.startswith(("BACKUP", "RESTORE"))]
    assert len(documented) == 2
    # The embedded engine does not support zip.
    backup, restore = (re.sub(r"File\('.*'\)", f"File('{server}/backups/one')", each) for each in documented)
    as_user(server, "genesis", ["init"])
    as_user(server, "ingest", [SPANS])
    assert as_user(server, "grafana", [backup]) == as_user(server, "ingest", [backup]) == [DENIED]
    emptied = [f"DROP TABLE genesis.{table} SYNC" for table in tables.STORED_IN.values()]
    views = [f"DROP VIEW genesis.{view} SYNC" for view, _, _ in tables.views()]
    answers = as_user(
        server, "genesis", [backup, *views, "DROP VIEW genesis.evolution_runs", *emptied, restore, "init"]
    )
    assert all(isinstance(answer, list) for answer in answers), answers
    assert as_user(server, "grafana", COUNTS) == [[["1"]]] * len(COUNTS)


def test_the_reader_has_limits(server: Path) -> None:
    """The reader can neither remove its limits nor read more rows than they allow."""
    as_user(server, "genesis", ["init"])
    too_many_rows, too_much_to_read = 396, 158
    answers = as_user(
        server,
        "grafana",
        [
            "SET readonly = 0",
            "SELECT 1 SETTINGS max_rows_to_read = 0",
            "SELECT number FROM numbers(1000001)",
            "SELECT sum(number) FROM numbers(2000000000)",
        ],
    )
    assert answers == [READ_ONLY, READ_ONLY, too_many_rows, too_much_to_read]


def test_the_reader_s_quota_holds(server: Path) -> None:
    """Queries beyond the quota are refused; here it is twenty queries per minute."""
    users = server / "secrets" / "clickhouse" / "genesis.xml"
    users.chmod(0o600)
    users.write_text(users.read_text().replace("<queries>3000</queries>", "<queries>20</queries>"))
    as_user(server, "genesis", ["init"])
    quota_exceeded = 201
    # More than two minutes' worth, since the quota's minute may end in between.
    assert quota_exceeded in as_user(server, "grafana", ["SELECT count() FROM genesis.individuals"] * 42)


def test_any_client_s_insert_is_acknowledged_when_stored(server: Path) -> None:
    """Every insert as `ingest` is synchronous and deduplicated, even if the client does not ask for it."""
    names = "'async_insert', 'insert_deduplicate', 'deduplicate_blocks_in_dependent_materialized_views'"
    as_user(server, "genesis", ["init"])
    (values,) = as_user(server, "ingest", [f"SELECT value FROM system.settings WHERE name IN ({names}) ORDER BY name"])
    assert values == [["0"], ["1"], ["1"]]


def test_no_user_connects_without_a_password(server: Path) -> None:
    """ClickHouse's default user, which has no password and every right, is removed."""
    (server / "config.xml").write_text("<clickhouse><users_config>users.xml</users_config></clickhouse>")
    (server / "users.xml").write_text(
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><profile>default"
        "</profile><quota>default</quota></default></users></clickhouse>"
    )
    grants = server / "users.d" / "genesis.xml"
    # Not with chDB: see as_user.py.
    whole = re.sub(r"<constraints>.*?</constraints>", "", grants.read_text(), flags=re.DOTALL)
    grants.write_text(whole)
    ask = [sys.executable, "-c", "import chdb; print(chdb.connect('engine').query('SELECT 1'))"]
    refused = subprocess.run(ask, cwd=server, capture_output=True, text=True, timeout=200)
    assert refused.returncode != 0 and "AUTHENTICATION_FAILED" in refused.stderr
    grants.write_text(whole.replace('<default remove="1"/>', ""))
    let_in = subprocess.run(ask, cwd=server, capture_output=True, text=True, timeout=200)
    assert let_in.returncode == 0, let_in.stderr[-2000:]


def test_the_server_applies_its_settings(server: Path) -> None:
    """The engine accepts and applies the settings of config.xml."""
    (rows,) = as_user(server, "genesis", ["SELECT name, value FROM system.server_settings WHERE changed"])
    taken = dict(rows)
    told = ET.parse(DEPLOY / "clickhouse" / "config.xml").getroot()  # noqa: S314 - our own file
    plain = {each.tag: each.text for each in told if len(each) == 0 and "remove" not in each.attrib}
    assert len(plain) == 6
    # The embedded engine has no limit of its own on concurrent queries.
    del plain["max_concurrent_queries"]
    assert {name: taken.get(name) for name in plain} == plain


def test_clickhouse_s_own_logs_are_bounded() -> None:
    """Each of the server's own log tables is removed or expires after a week; those with the server's metrics and
    profiles are removed."""
    told = ET.parse(DEPLOY / "clickhouse" / "config.xml").getroot()  # noqa: S314 - our own file
    logs = {each.tag: each for each in told if each.tag.endswith("_log")}
    for name, log in logs.items():
        assert log.get("remove") == "1" or log.findtext("ttl") == "event_date + INTERVAL 7 DAY DELETE", name
    assert {"trace_log", "metric_log", "asynchronous_metric_log", "text_log", "processors_profile_log"} <= {
        name for name, log in logs.items() if log.get("remove")
    }
