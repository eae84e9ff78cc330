"""``--cluster``: the same schema on every node. There is no cluster here: the engine parses what would run on one."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._store import deleted, errors, schema
from genesis_otel._store import tables as _tables

NAME = "my `odd` cluster"


class Parsed:
    """A client whose statements the engine parses without running them; what it reads is real."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.statements: list[str] = []

    def query(self, *args: Any, **kwargs: Any) -> Any:
        return self.client.query(*args, **kwargs)

    def command(self, statement: str, **_: Any) -> None:
        form = self.client.query("SELECT formatQuery({statement:String})", parameters={"statement": statement})
        self.statements.append(form.result_rows[0][0])


@pytest.fixture
def parsed(store: Client) -> Parsed:
    return Parsed(store)


def test_every_file_goes_on_cluster_with_replicated_engines(parsed: Parsed) -> None:
    """Given a cluster, every statement of the schema parses, names the cluster and replicates."""
    for file in _tables.FILES:
        for statement in _tables.statements(file, cluster=NAME):
            parsed.command(statement)
    tables = [statement for statement in parsed.statements if statement.startswith("CREATE TABLE")]
    assert len(parsed.statements) == 44 and len(tables) == 21
    passing = [statement for statement in tables if "ENGINE = `Null`" in statement]
    assert len(passing) == 12
    for statement in parsed.statements:
        assert "ON CLUSTER `my \\`odd\\` cluster`" in statement
    for statement in tables:
        if statement in passing:
            continue
        assert "ENGINE = Replicated" in statement
        assert "replicated_deduplication_window = 1000" in statement and "non_replicated" not in statement


def test_upgrades_and_retention_go_on_cluster(parsed: Parsed, store: Client) -> None:
    """Columns, settings, views and retention that init alters are altered on the cluster, too."""
    store.command("ALTER TABLE individuals DROP COLUMN error")
    store.command("ALTER TABLE individuals MODIFY COMMENT 'x'")
    store.command("ALTER TABLE llm_logs RESET SETTING min_age_to_force_merge_seconds")
    schema.init_schema(parsed, llm_logs_ttl_days=3, cluster="main")  # type: ignore[arg-type]
    kinds = {" ".join(statement.split()[:2]) for statement in parsed.statements}
    assert kinds == {"ALTER TABLE", "CREATE OR"}
    assert any("ADD COLUMN IF NOT EXISTS `error`" in statement for statement in parsed.statements)
    assert any("MODIFY SETTING" in statement for statement in parsed.statements)
    assert any("MODIFY TTL" in statement for statement in parsed.statements)
    # The lambdas of a view name no table: each statement names the cluster once.
    assert [statement for statement in parsed.statements if "ON CLUSTER main" not in statement] == []


def test_tables_of_the_first_logger_are_taken_over_without_a_cluster(parsed: Parsed, store: Client) -> None:
    """Taking over moves rows on one node: given a cluster, init says so and changes nothing."""
    store.command("DROP TABLE generations SYNC")
    store.command("CREATE TABLE generations (run_id String, generation Int32) ENGINE = MergeTree ORDER BY run_id")
    with pytest.raises(errors.StoreError, match="run init without a cluster"):
        schema.init_schema(parsed, cluster="main")  # type: ignore[arg-type]
    assert parsed.statements == []


def test_what_is_read_again_within_a_deletion_is_accepted_by_replicated_tables(store: Client) -> None:
    """They refuse a DELETE with a subquery unless it says that replicas may read different rows."""
    sent: list[tuple[str, Any]] = []
    send = store.command

    def command(statement: str, **options: Any) -> Any:
        sent.append((statement, options.get("settings") or {}))
        return send(statement, **options)

    store.command = command  # type: ignore[assignment,method-assign]
    deleted.delete(store, "r", raw_traces=True)
    store.insert("individuals", [["r", "late"]], column_names=["run_id", "individual_id"])
    assert deleted.sweep(store) == {"individuals": 1}
    again = [settings for statement, settings in sent if statement.startswith("DELETE") and "SELECT" in statement]
    assert len(again) == 9
    assert all(settings["allow_nondeterministic_mutations"] for settings in again)
