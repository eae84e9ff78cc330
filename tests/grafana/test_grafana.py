"""`genesis-otel grafana`: this checkout's dashboards and rules against a Grafana that answers as its API documents."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from genesis_otel._cli.app import application
from tests.support.grafana_stand_in import TOKEN, StandIn, serving

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "s3cret-of-the-reader"
BOARDS = {path.stem for path in (ROOT / "grafana" / "dashboards").glob("*.json")}
THINGS = 1 + 1 + len(BOARDS) + 1
"""Folder, data source, dashboards, one group of rules."""

Command = Callable[..., Result]


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """An empty Grafana, and the settings that point to it."""
    monkeypatch.chdir(tmp_path)
    with serving(StandIn()) as there:
        monkeypatch.setenv("GRAFANA_URL", there.url)
        monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
        monkeypatch.setenv("GRAFANA_CLICKHOUSE_URL", f"http://grafana:{PASSWORD}@clickhouse:8123/genesis")
        yield there


@pytest.fixture
def command(grafana: StandIn) -> Command:
    """Runs the command, whose output never contains the token or the password."""

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(application(), ["grafana", *arguments])
        assert TOKEN not in done.output and PASSWORD not in done.output
        assert "Traceback" not in done.output
        return done

    return run


def test_push_brings_everything_once(grafana: StandIn, command: Command) -> None:
    """Folder, data source, seven dashboards and the rules; the second time nothing is written, and the command says so."""
    first = command("push")
    assert first.exit_code == 0 and f"{THINGS} written, 0 unchanged" in first.stderr
    assert set(grafana.dashboards) == BOARDS and set(grafana.folders) == {"genesis"}
    source = grafana.datasources["genesis-clickhouse"]
    assert source["jsonData"]["defaultDatabase"] == "genesis" and grafana.passwords["genesis-clickhouse"] == PASSWORD
    assert len(grafana.groups["genesis", "Genesis"]["rules"]) == 7
    grafana.asked.clear()
    again = command("push")
    assert again.exit_code == 0 and "nothing was written" in again.stderr and grafana.written == []


def test_a_dry_run_writes_nothing(grafana: StandIn, command: Command) -> None:
    """It says what would be written."""
    done = command("push", "--dry-run")
    assert done.exit_code == 0 and grafana.written == []
    assert done.stdout.count(": new") == THINGS and f"would write {THINGS} of {THINGS}" in done.stderr


def test_a_path_and_an_older_grafana(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Behind a proxy's path, and with Grafana 11's answers, a second push writes nothing either."""
    monkeypatch.chdir(tmp_path)
    with serving(StandIn(prefix="/monitoring/grafana", version="11.6.0")) as there:
        monkeypatch.setenv("GRAFANA_URL", there.url + "/")
        monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
        monkeypatch.setenv("GRAFANA_CLICKHOUSE_URL", "http://clickhouse:8123/genesis")
        assert CliRunner().invoke(application(), ["grafana", "push"]).exit_code == 0
        there.asked.clear()
        assert CliRunner().invoke(application(), ["grafana", "push"]).exit_code == 0 and there.written == []


def test_edits_in_the_browser_are_not_overwritten(grafana: StandIn, command: Command, tmp_path: Path) -> None:
    """Push refuses and names it, diff shows it, pull writes it into files, and a push of those files changes nothing; what was not
    edited is copied to the letter."""
    command("push")
    grafana.edit("genesis-runs", title="My runs")
    grafana.asked.clear()
    refused = command("push")
    assert refused.exit_code != 0 and "dashboard genesis-runs" in refused.stderr and grafana.written == []
    shown = command("diff")
    assert shown.exit_code == 1
    assert '-  "title": "My runs"' in shown.stdout and '+  "title": "Genesis: Runs"' in shown.stdout
    assert len([line for line in shown.stdout.splitlines() if line.startswith("---")]) == 1
    pulled = command("pull", "--to", str(tmp_path / "mine"))
    assert pulled.exit_code == 0
    ours = {path.name: path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json")}
    mine = {path.name: path.read_text() for path in (tmp_path / "mine" / "dashboards").glob("*.json")}
    assert {name for name in ours if ours[name] != mine[name]} == {"genesis-runs.json"}
    assert json.loads(mine["genesis-runs.json"])["title"] == "My runs"
    rules = "provisioning/alerting/genesis.yaml"
    assert (tmp_path / "mine" / rules).read_text() == (ROOT / "grafana" / rules).read_text()
    grafana.asked.clear()
    assert command("push", "--from", str(tmp_path / "mine"), "--datasource-uid", "genesis-clickhouse").exit_code == 0
    assert grafana.written == []
    assert command("push", "--overwrite").exit_code == 0
    assert grafana.dashboards["genesis-runs"]["dashboard"]["title"] == "Genesis: Runs"


def test_a_rule_that_was_edited_in_the_browser(grafana: StandIn, command: Command, tmp_path: Path) -> None:
    """A threshold changed by hand is protected from a push, and is pulled into the file."""
    command("push")
    rule = grafana.rule("genesis-cost")
    rule["data"][-1]["model"]["conditions"][0]["evaluator"]["params"] = [500.0]
    refused = command("push")
    assert refused.exit_code != 0 and "alert rules Genesis" in refused.stderr
    command("pull", "--to", str(tmp_path / "mine"))
    assert "500.0" in (tmp_path / "mine" / "provisioning" / "alerting" / "genesis.yaml").read_text()
    assert command("push", "--overwrite").exit_code == 0
    assert grafana.rule("genesis-cost")["data"][-1]["model"]["conditions"][0]["evaluator"]["params"] == [1.0]


def test_a_group_that_was_edited_in_the_browser(grafana: StandIn, command: Command, tmp_path: Path) -> None:
    """How often rules are evaluated, and that one was deleted, is protected from a push, and pulled into the file, which then changes
    nothing; a push of files that have another interval replaces what nobody edited."""
    command("push")
    group, file = grafana.groups["genesis", "Genesis"], "provisioning/alerting/genesis.yaml"
    before, wanted = copy.deepcopy(group), (ROOT / "grafana" / file).read_text()
    for edits in ({"interval": 300}, {"rules": [rule for rule in group["rules"] if rule["uid"] != "genesis-stale"]}):
        grafana.groups["genesis", "Genesis"] = {**copy.deepcopy(before), **copy.deepcopy(edits)}
        grafana.asked.clear()
        refused = command("push")
        assert refused.exit_code != 0 and "alert rules Genesis" in refused.stderr and grafana.written == []
        mine = tmp_path / next(iter(edits))
        assert command("pull", "--to", str(mine)).exit_code == 0 and (mine / file).read_text() != wanted
        assert command("push", "--from", str(mine), "--datasource-uid", "genesis-clickhouse").exit_code == 0
        assert grafana.written == []
        assert command("push", "--overwrite").exit_code == 0
        now = grafana.groups["genesis", "Genesis"]
        assert (now["interval"], len(now["rules"])) == (60, 7)
    faster = tmp_path / "faster"
    command("pull", "--to", str(faster))
    (faster / file).write_text((faster / file).read_text().replace("interval: 1m", "interval: 30s"))
    done = command("push", "--from", str(faster), "--datasource-uid", "genesis-clickhouse")
    assert done.exit_code == 0 and grafana.groups["genesis", "Genesis"]["interval"] == 30


def test_new_files_replace_what_was_pushed(grafana: StandIn, command: Command, tmp_path: Path) -> None:
    """A dashboard that nobody edited is updated to the files, and only that one."""
    command("push")
    command("pull", "--to", str(tmp_path))
    path = tmp_path / "dashboards" / "genesis-llm.json"
    path.write_text(path.read_text().replace("Genesis: LLM latency and cost", "Models"))
    grafana.asked.clear()
    done = command("push", "--from", str(tmp_path), "--datasource-uid", "genesis-clickhouse")
    assert done.exit_code == 0 and done.stdout == "dashboard genesis-llm: saved\n"
    assert grafana.written == [("POST", "/dashboards/db")]
    assert grafana.dashboards["genesis-llm"]["dashboard"]["title"] == "Models"


def test_provisioned_dashboards_are_left_alone(grafana: StandIn, command: Command) -> None:
    """A dashboard that is provisioned from a file of that Grafana is reported, and not touched."""
    command("push")
    grafana.edit("genesis-runs", title="Theirs")
    grafana.dashboards["genesis-runs"]["meta"]["provisioned"] = True
    done = command("push")
    assert done.exit_code == 0 and "genesis-runs is provisioned" in done.stderr
    assert grafana.dashboards["genesis-runs"]["dashboard"]["title"] == "Theirs"


def test_another_data_source(grafana: StandIn, command: Command) -> None:
    """An existing one is used as it is, and the rules query it; one that is missing or of another kind is reported."""
    grafana.datasources["mine"] = {
        "uid": "mine",
        "name": "Mine",
        "type": "grafana-clickhouse-datasource",
        "readOnly": False,
    }
    grafana.datasources["prometheus"] = {"uid": "prometheus", "name": "P", "type": "prometheus", "readOnly": False}
    assert command("push", "--datasource-uid", "mine").exit_code == 0
    assert grafana.rule("genesis-stale")["data"][0]["datasourceUid"] == "mine"
    assert "genesis-clickhouse" not in grafana.datasources
    for uid, said in (
        ("none", "there is no data source 'none'"),
        ("prometheus", "is not a grafana-clickhouse-datasource"),
    ):
        done = command("push", "--datasource-uid", uid)
        assert done.exit_code != 0 and said in done.stderr


def test_a_data_source_whose_name_is_taken(grafana: StandIn, command: Command) -> None:
    """Somebody's own is called ClickHouse, and stays as it is: ours is called by its uid; a second push writes nothing."""
    theirs = {"uid": "other", "name": "ClickHouse", "type": "grafana-clickhouse-datasource", "readOnly": False}
    grafana.datasources["other"] = dict(theirs)
    assert command("push").exit_code == 0
    assert grafana.datasources["other"] == theirs
    assert grafana.datasources["genesis-clickhouse"]["name"] == "genesis-clickhouse"
    grafana.asked.clear()
    assert command("push").exit_code == 0 and grafana.written == []


@pytest.mark.parametrize("version", ["9.5.21", "10.4.1", "v11.5.0-pre"])
def test_a_grafana_that_is_too_old(grafana: StandIn, command: Command, version: str) -> None:
    """It would save what it does not understand: nothing is written, and the command says which version it takes."""
    grafana.version = version
    done = command("push")
    assert done.exit_code == 1 and version in done.stderr and "11.6 or newer is required" in done.stderr
    assert grafana.written == []


@pytest.mark.parametrize(
    ("lacks", "role"),
    [
        ("folders:create", "Editor"),
        ("datasources:create", "Admin"),
        ("dashboards:write", "Editor"),
        ("alert.provisioning:write", "Editor"),
        ("alert.provisioning:read", "Editor"),
        ("dashboards:read", "Editor"),
    ],
)
def test_a_token_that_may_not(grafana: StandIn, command: Command, lacks: str, role: str) -> None:
    """The missing permission is named, and the role that has it."""
    if lacks.endswith(":read"):
        command("push")
    grafana.lacks = {lacks}
    done = command("push")
    assert done.exit_code == 1 and lacks in done.stderr and role in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GRAFANA_TOKEN", "", "GRAFANA_TOKEN is not set"),
        ("GRAFANA_TOKEN", "glsa_of_another", "rejects the token in GRAFANA_TOKEN"),
        ("GRAFANA_URL", "", "GRAFANA_URL is not set"),
        ("GRAFANA_URL", "grafana.example.org", "not the URL of a Grafana"),
        ("GRAFANA_URL", "http://127.0.0.1:9/", "Connection refused"),
        ("GRAFANA_CLICKHOUSE_URL", "chdb:///store", "there is no ClickHouse for Grafana's data source"),
    ],
)
def test_settings_that_are_wrong(
    grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """A line says which one is wrong and what to do; nothing is written."""
    monkeypatch.setenv(variable, value)
    done = command("push")
    assert done.exit_code != 0 and said in done.stderr and grafana.written == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # Go's answer on a port that expects TLS, and others'.
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", "does not speak http:"),
        (b"", "closes the connection: check https://"),
    ],
)
def test_http_to_a_port_of_https(
    grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, answer: bytes, said: str
) -> None:
    """The likeliest mistake in an address is named."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def close_each() -> None:
            with contextlib.suppress(OSError):  # the end of the test
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=close_each, daemon=True).start()
        monkeypatch.setenv("GRAFANA_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        done = command("push")
        listening.shutdown(socket.SHUT_RDWR)
    assert done.exit_code == 1 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_wrong_address_or_a_missing_plugin(
    grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong path, and a Grafana without the ClickHouse plugin, each with what to do."""
    grafana.plugins.clear()
    done = command("push")
    assert done.exit_code != 0 and "grafana cli plugins install" in done.stderr
    grafana.prefix = "/grafana"
    done = command("push")
    assert done.exit_code != 0 and "is not Grafana" in done.stderr and grafana.written == []


def test_a_concurrent_edit_is_not_overwritten(grafana: StandIn, command: Command, tmp_path: Path) -> None:
    """A dashboard that is saved between the comparison and the push is not overwritten."""
    command("push")
    command("pull", "--to", str(tmp_path))
    path = tmp_path / "dashboards" / "genesis-llm.json"
    path.write_text(path.read_text().replace("Genesis: LLM latency and cost", "Models"))
    grafana.between = lambda: grafana.edit("genesis-llm", title="Quicker")
    done = command("push", "--from", str(tmp_path), "--datasource-uid", "genesis-clickhouse")
    assert done.exit_code == 1 and "somebody saved it in the meantime" in done.stderr
    assert grafana.dashboards["genesis-llm"]["dashboard"]["title"] == "Quicker"


def test_a_data_source_that_does_not_reach_clickhouse(grafana: StandIn, command: Command) -> None:
    """The push reports Grafana's own error."""
    grafana.unhealthy = "dial tcp: lookup clickhouse: no such host"
    done = command("push")
    assert done.exit_code == 0 and "no such host" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("dashboards/x.json", "{", "is not JSON"),
        ("dashboards/x.json", "{}", "has no uid and title"),
        ("provisioning/alerting/x.yaml", "groups: [{name: x}]", "has no 'interval'"),
        ("other/x.json", "{}", "there are no dashboards"),
    ],
)
def test_files_that_are_wrong(
    grafana: StandIn, command: Command, tmp_path: Path, name: str, text: str, said: str
) -> None:
    """The file is named, and nothing is written."""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    done = command("push", "--from", str(tmp_path))
    assert done.exit_code != 0 and said in done.stderr and grafana.written == []


def test_pull_from_a_grafana_that_has_nothing(command: Command, tmp_path: Path) -> None:
    """The command says so, with the exit code for nothing found."""
    done = command("pull", "--to", str(tmp_path / "mine"))
    assert done.exit_code == 3 and not (tmp_path / "mine").exists()


SLACK = "https://hooks.example.org/services/T000/B000/s3cret-of-slack"
WEBHOOK = "https://alerts.example.org/in/s3cret-of-webhook"


def test_rules_notify_the_configured_receiver(
    grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a setting no rule names a receiver. With one, the contact point is created before the rules that name it, no address is
    printed, a second push writes nothing, and one without the setting removes nothing; the notification policies are never queried."""
    command("push")
    assert not any(rule["notification_settings"] for rule in grafana.groups["genesis", "Genesis"]["rules"])
    monkeypatch.setenv("GRAFANA_ALERT_WEBHOOK", WEBHOOK)
    monkeypatch.setenv("GRAFANA_ALERT_EMAIL", "me@example.org, you@example.org")
    monkeypatch.setenv("GRAFANA_ALERT_SLACK", SLACK)
    shown = command("diff")
    pushed = command("push")
    assert pushed.stdout == "contact point genesis: created\nalert rules Genesis: saved\n"
    assert "me@example.org" in shown.stdout and "s3cret" not in shown.output + pushed.output
    told = {uid: each["settings"] for uid, each in grafana.contact_points.items()}
    assert told == {
        "genesis-webhook": {"url": WEBHOOK},
        "genesis-email": {"addresses": "me@example.org;you@example.org"},
        "genesis-slack": {"url": SLACK},
    }
    rules = grafana.groups["genesis", "Genesis"]["rules"]
    assert all(rule["notification_settings"]["receiver"] == "genesis" for rule in rules)
    grafana.asked.clear()
    assert command("push").exit_code == 0 and grafana.written == []
    assert command("pull", "--to", str(tmp_path / "mine")).exit_code == 0
    pulled = (tmp_path / "mine" / "provisioning" / "alerting" / "genesis.yaml").read_text()
    assert pulled == (ROOT / "grafana" / "provisioning" / "alerting" / "genesis.yaml").read_text()
    for name in ("WEBHOOK", "EMAIL", "SLACK"):
        monkeypatch.delenv(f"GRAFANA_ALERT_{name}")
    assert command("push").exit_code == 0 and grafana.written == []
    assert not any("policies" in path for _, path in grafana.asked)


def test_a_contact_point_that_changes(grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new address is written, and nothing else; what somebody changed by hand is protected from a push."""
    monkeypatch.setenv("GRAFANA_ALERT_WEBHOOK", WEBHOOK)
    command("push")
    monkeypatch.setenv("GRAFANA_ALERT_WEBHOOK", "https://other.example.org/")
    grafana.asked.clear()
    assert command("push").stdout == "contact point genesis: saved\n"
    assert grafana.written == [("PUT", "/v1/provisioning/contact-points/genesis-webhook")]
    grafana.contact_points["genesis-webhook"].update(provenance="", settings={"url": "https://by-hand.example.org/"})
    refused = command("push")
    assert refused.exit_code != 0 and "contact point genesis" in refused.stderr
    assert command("push", "--overwrite").exit_code == 0
    assert grafana.contact_points["genesis-webhook"]["settings"] == {"url": "https://other.example.org/"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("WEBHOOK", "alerts.example.org"), ("SLACK", "#channel"), ("EMAIL", "me")],
)
def test_an_invalid_address_is_reported(
    grafana: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """By the name of its setting; nothing is written."""
    monkeypatch.setenv(f"GRAFANA_ALERT_{name}", value)
    done = command("push")
    assert done.exit_code != 0 and f"GRAFANA_ALERT_{name}" in done.stderr and grafana.written == []
