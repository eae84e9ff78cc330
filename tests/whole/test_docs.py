"""The documentation: its snippets run, and its lists are complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._cli.app import COMMANDS, main
from genesis_otel._serve import client as store_process
from genesis_otel._settings import FIELDS, Settings
from genesis_otel._store import tables
from tests.support.environment import take_settings_out
from tests.support.searched import end_store, fill, search_spans

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *(
        f"docs/{name}.md"
        for name in (
            "index",
            "architecture",
            "tables",
            "settings",
            "prices",
            "delivery",
            "grafana",
            "handling",
            "report",
            "watch",
        )
    ),
)


def blocks(language: str) -> list[tuple[str, str]]:
    """The code blocks of a language in our documents, each with a unique name."""
    return [
        (f"{document} {number}", block)
        for document in DOCUMENTS
        for number, block in enumerate(
            re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL), 1
        )
    ]


def named(language: str) -> list[Any]:
    return [pytest.param(block, id=name) for name, block in blocks(language)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, with its own data folder and without the caller's settings."""
    take_settings_out(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENESIS_OTEL_QUIET", "true")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield tmp_path / "data"
    end_store(tmp_path / "data" / "store")


@pytest.mark.parametrize("snippet", named("python"))
def test_python_runs(snippet: str, elsewhere: Path) -> None:
    """A snippet runs as printed, writes nothing to standard error, and its records are in the store when it ends."""
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    if "with genesis_otel.run(" in snippet or "log_evolution_run" in snippet:
        assert main(["runs", "--status", "completed"]) == 0


def test_the_worker_of_the_readme_joins_the_trace(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The evaluation of the other process is in the individual's trace, with its run, generation and individual."""
    (snippet,) = (block for _, block in blocks("python") if "WORKER" in block)
    subprocess.run([sys.executable, "-c", snippet], check=True, timeout=120)
    capsys.readouterr()
    sql = (
        "SELECT count() AS n FROM agent_actions AS a INNER JOIN individuals AS i ON i.individual_id = a.individual_id "
        "WHERE a.action_type = 'job_completed' AND a.trace_id = i.trace_id AND a.run_id = i.run_id"
    )
    assert main(["query", sql]) == 0
    assert capsys.readouterr().out == "n\n1\n"


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("documented")
    fill(data / "store", search_spans())
    yield data
    end_store(data / "store")


@pytest.mark.parametrize("snippet", named("sh"))
def test_commands_run(snippet: str, store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command in the documents succeeds."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(store_folder))
    for line in snippet.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "genesis-otel"
        assert main(arguments) == 0, line


@pytest.mark.parametrize("snippet", named("sql"))
def test_sql_runs(snippet: str, store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement in the documents returns rows."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(store_folder))
    with store_process.open_store(store_folder / "store", start=True) as client:
        for statement in re.split(r";\s*$", snippet, flags=re.MULTILINE):
            if statement.strip():
                assert client.query(statement).result_rows


def test_the_documents_have_code_to_run() -> None:
    """The documents have code of each kind: this would fail if the blocks were not found."""
    assert len(blocks("python")) >= 6 and len(blocks("sh")) >= 2 and len(blocks("sql")) >= 1


def test_every_command_is_in_the_readme() -> None:
    """The README's table has every command and no other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## The command")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) == COMMANDS.keys()


def test_every_setting_is_documented() -> None:
    """The table has every setting with its environment variable and its default, and no other."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = {
        field: (variable, default)
        for field, variable, default in re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \|", text, re.MULTILINE)
    }
    assert set(rows) == set(FIELDS)
    for name, variables in FIELDS.items():
        variable, default = rows[name]
        assert variable in variables
        told = Settings.__dataclass_fields__[name].default
        if default.startswith("`") and told is not None:
            assert default.strip("`") in (str(told), str(told).lower())


@pytest.mark.parametrize("table", tables.TABLES)
def test_every_column_is_documented(table: str, store: Client) -> None:
    """Each table's section names all of its columns and no other, and our own with their types."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    section = re.split(r"^##", text.split(f"## `{table}`\n")[1], flags=re.MULTILINE)[0]
    columns = {
        row[0]: re.sub(r"LowCardinality\((\w+)\)", r"\1", row[1])
        for row in store.query(f"DESCRIBE TABLE {table}").result_rows
    }
    match = re.search(r"From the reference: (.*?)\.(?:\s|$)", section, re.DOTALL)
    assert match
    documented = dict.fromkeys(re.findall(r"`(\w+)`", match[1]), "")
    for names, types in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) \|", section, re.MULTILINE):
        found = re.findall(r"`(\w+)`", names)
        several = re.split(r", (?![^(]*\))", types)  # what a Map holds is within parentheses
        kinds = several if len(several) > 1 else several * len(found)
        documented.update(zip(found, kinds, strict=True))
    assert list(documented) == list(columns)
    assert {name: kind for name, kind in documented.items() if kind} == {
        name: columns[name] for name, kind in documented.items() if kind
    }


def test_links_lead_somewhere() -> None:
    """Links between the documents have a target."""
    for document in DOCUMENTS:
        path = ROOT / document
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), (document, target)


def test_queries_that_are_named_exist() -> None:
    """Every query that the documents name is a named query."""
    for document in DOCUMENTS:
        for name in re.findall(r"genesis-otel query ([a-z]\w+)", (ROOT / document).read_text(encoding="utf-8")):
            assert name in queries.names()
