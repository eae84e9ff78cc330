"""docs/production.md: its statements, grants and commands are those of the services."""

from __future__ import annotations

import re
from pathlib import Path

from clickhouse_connect.driver.client import Client

from genesis_otel._cli.app import COMMANDS
from genesis_otel._store import tables
from tests.support.services import DEPLOY, PRODUCTION, ROOT, SERVICES, USERS, run_secrets, statements


def formatted(client: Client, statement: str) -> str:
    return str(client.query("SELECT formatQuery({s:String})", parameters={"s": statement}).result_rows[0][0])


def test_the_statements_of_the_documentation_parse(store: Client) -> None:
    """The engine can parse every statement in the documentation."""
    assert len(statements()) > 15
    for statement in statements():
        assert formatted(store, statement)


def test_the_grants_of_the_documentation_are_those_of_the_services(store: Client) -> None:
    """Following the documentation gives each user the same rights as users.xml."""
    shown: dict[str, set[str]] = {}
    for statement in statements():
        if (text := formatted(store, statement)).startswith("GRANT "):
            what, _, user = text.rpartition(" TO ")
            shown.setdefault(user, set()).add(what)
    users = USERS.find("users")
    assert users is not None
    assert {user: grants - {"GRANT CLUSTER ON *.*"} for user, grants in shown.items()} == {
        user.tag: {
            formatted(store, f"{query.text} TO {user.tag}").rpartition(" TO ")[0] for query in user.iter("query")
        }
        for user in users
        if user.tag != "default"
    }


def test_documented_compose_commands_can_be_run(secrets: Path) -> None:
    """Each `docker compose run` in the documentation names a service and a command that its entry point knows."""
    texts = [ROOT / "docker-compose.yml", ROOT / "README.md", *DEPLOY.rglob("*.sh"), *(ROOT / "docs").glob("*.md")]
    shown = {
        match
        for path in texts
        for match in re.findall(r"docker compose run --rm ([a-z]+) ([a-z]+)", path.read_text(encoding="utf-8"))
    }
    assert {name for name, _ in shown} == {"secrets", "schema"}
    for name, argument in shown:
        if name == "secrets":
            assert run_secrets(secrets, argument).returncode == 0
        else:
            assert argument in COMMANDS


def test_the_documentation_names_what_exists() -> None:
    """Links have a target, commands and services exist, and every table to back up is named."""
    text = PRODUCTION.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (PRODUCTION.parent / target).exists(), target
    assert set(re.findall(r"genesis-otel (?:--url \S+ )?([a-z]+)", text)) <= COMMANDS.keys()
    services = re.findall(r"docker compose (?:exec|run --rm|restart|logs) ([a-z]+)", text)
    assert services and set(services) <= set(SERVICES)
    for table in (*tables.STORED_IN.values(), tables.LANDING):
        assert f"TABLE genesis.{table}" in text
