"""docker-compose.yml and the files that it mounts. Without a Docker engine, everything is run that can be run without
one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from genesis_otel import __version__
from genesis_otel._cli.app import COMMANDS
from genesis_otel._store import connection, errors, schema, tables
from tests.support.pipeline import PASSWORD, Collector, Store, binary, running, until

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
ONCE = {"secrets", "schema"}
LASTING = sorted(set(SERVICES) - ONCE)
USERS = ET.parse(DEPLOY / "clickhouse" / "users.xml").getroot()  # noqa: S314 - our own file
PRODUCTION = ROOT / "docs" / "production.md"
DENIED, READ_ONLY = 497, 164

# Ports that an image listens on without a file of ours saying so.
LISTENS = {"clickhouse": {8123, 9000}, "grafana": {3000}}

# The path at which a service finds its own secrets.
OWN = {
    "clickhouse": "clickhouse-users",
    "collector": "collector-secrets",
    "grafana": "grafana-secrets",
    "schema": "owner-secrets",
}
PLAIN = {"owner/password": 10002, "collector/password": 10001, "grafana/clickhouse_password": 472}
HASHED = {"genesis": "owner/password", "ingest": "collector/password", "grafana": "grafana/clickhouse_password"}


# --- the file ---------------------------------------------------------------------------------------------------------


def test_versions_are_pinned() -> None:
    """Every image, its base and Grafana's plugin have an exact version; the collector's is the tested one."""
    base = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    plugin = SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_SYNC"].replace("@", ":")
    for image in [*(service["image"] for service in SERVICES.values()), *base, plugin]:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", image), image
    built = yaml.safe_load((ROOT / "otel-collector" / "builder.yaml").read_text())["dist"]["version"]
    assert SERVICES["collector"]["image"].endswith(f":{built}")
    assert SERVICES["schema"]["image"].endswith(f":{__version__}")


def test_ports_are_on_loopback() -> None:
    """Every published port is reachable only from this machine, and can be changed."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    for port in ports:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{GENESIS_\w+_PORT:-(\d+)\}:\1", port), port


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_are_bounded(name: str) -> None:
    """No service gains privileges, and each has limits for memory and logs; long-running ones restart, have time to
    shut down, and have a health check."""
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"] and service["cap_drop"] == ["ALL"]
    assert service["mem_limit"] and service["logging"]["options"].keys() == {"max-size", "max-file"}
    if name in ONCE:
        assert service["restart"] == "no" and service["read_only"] is True
    else:
        assert service["restart"] == "unless-stopped" and service["stop_grace_period"]
        assert service["healthcheck"]["test"][0] == "CMD" and "http://127.0.0.1:" in service["healthcheck"]["test"][-1]
        assert service["user"].split(":")[0] != "0" and "cap_add" not in service


def test_the_start_has_an_order() -> None:
    """Passwords, then ClickHouse, then the tables, then the services that use them; each waits for the end of one-off
    services and the health of long-running ones."""
    order = list(SERVICES)
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_completed_successfully" if other in ONCE else "service_healthy"}
            assert order.index(other) < order.index(name)
    assert {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()} == {
        "secrets": set(),
        "clickhouse": {"secrets"},
        "schema": {"clickhouse"},
        "collector": {"secrets", "schema"},
        "grafana": {"secrets", "schema"},
    }


def test_no_password_is_written_down() -> None:
    """Neither the file nor what it mounts contains a password or a hash: only files that the first start creates do."""
    for service in SERVICES.values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN", variable):
                assert re.fullmatch(r"/run/genesis/\w+|\$\$\{file:/run/genesis/\w+\}", value), variable
    for path in [ROOT / "docker-compose.yml", *(path for path in DEPLOY.rglob("*") if path.is_file())]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b[0-9a-f]{64}\b|<password>|<password_\w+>[^$<]", text), path
    (source,) = datasources()
    assert set(source["secureJsonData"].values()) == {"$__file{/run/genesis/clickhouse_password}"}


def test_each_service_sees_its_own_secrets() -> None:
    """A service mounts only its own folder of secrets, read-only; only the service that creates them mounts all."""
    for name, service in SERVICES.items():
        mounts = [volume.split(":") for volume in service["volumes"]]
        secret = {mount[0]: mount[2:] for mount in mounts if mount[0] in OWN.values()}
        if name == "secrets":
            assert set(secret) == set(OWN.values())
        else:
            assert secret == {OWN[name]: ["ro"]}
        for mount in mounts:
            if mount[0].startswith("./"):
                assert mount[2:] == ["ro"] and (ROOT / mount[0]).exists()
            else:
                assert mount[0] in COMPOSE["volumes"]
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert set(COMPOSE["volumes"]) == {name for name in used if not name.startswith("./")}


def mounts(name: str) -> dict[str, str]:
    """The mounts of a service: a path of the checkout or the name of a volume for each path inside."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[name]["volumes"]}


def here(name: str, path: str, volumes: dict[str, Path] | None = None) -> Path:
    """The path on this machine for a path inside a service; folders stand for volumes."""
    for target, source in sorted(mounts(name).items(), reverse=True):
        if path == target or path.startswith(f"{target}/"):
            found = ROOT / source if source.startswith("./") else (volumes or {})[source]
            return found / path[len(target) :].lstrip("/") if path != target else found
    raise AssertionError(f"{name} sees no {path}")


def volumes_of(secrets: Path) -> dict[str, Path]:
    """The folders that the first start has filled, by volume."""
    return {
        volume: secrets / target.removeprefix("/secrets/")
        for target, volume in mounts("secrets").items()
        if target.startswith("/secrets/")
    }


def test_every_service_finds_its_files(secrets: Path) -> None:
    """Every file that a service is told to read, by its command, environment, health check or a file that it mounts, is
    below one of its mounts and is in the checkout or created by the first start."""
    provisioning = [path.read_text(encoding="utf-8") for path in (ROOT / "grafana" / "provisioning").rglob("*.yaml")]
    told = {
        "secrets": [*SERVICES["secrets"]["entrypoint"][1:], "/deploy/clickhouse/users.xml"],
        "schema": re.findall(r"/run/genesis/\w+", (DEPLOY / "genesis-otel.sh").read_text()),
        "grafana": [path for text in provisioning for path in re.findall(r"(?:path: |\{)(/[\w/]+)", text)],
    }
    assert len(told["schema"]) == 1 and len(told["grafana"]) == 2
    for name, service in SERVICES.items():
        values = [
            *service.get("command", []),
            *map(str, (service.get("environment") or {}).values()),
            *service.get("healthcheck", {"test": []})["test"],
        ]
        named = [
            path for value in values for path in re.findall(r"(?<![\w/:.])/[\w./-]+", value) if path != "/dev/null"
        ]
        for path in [*named, *told.get(name, [])]:
            assert here(name, path, volumes_of(secrets)).exists(), (name, path)


def test_a_volume_belongs_to_the_user_who_mounts_it(secrets: Path) -> None:
    """The first start creates a folder for each of its mounts and no other, and makes the user of the service that
    mounts it its owner."""
    assert set(volumes_of(secrets).values()) == set(secrets.iterdir())
    script = (DEPLOY / "secrets.sh").read_text(encoding="utf-8")
    users = dict(re.findall(r"\b([A-Z]+)=(\d+):\d+", script))
    given = {folder: users[user] for folder, user in re.findall(r"\b([a-z]+):\$([A-Z]+)", script)}
    (of_the_image,) = re.findall(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for name in (*LASTING, "schema"):
        user = SERVICES[name].get("user", of_the_image).split(":")[0]
        for volume in set(mounts(name).values()) & set(volumes_of(secrets)):
            assert given[volumes_of(secrets)[volume].name] == user, (name, volume)


def test_every_variable_is_used_and_every_used_one_is_set() -> None:
    """Every variable that a service gets is read by its script or its configuration, and every variable that these read
    without a default is set."""
    config = (ROOT / "otel-collector" / "config.yaml").read_text(encoding="utf-8")
    script = (DEPLOY / "secrets.sh").read_text(encoding="utf-8")
    asked = {
        "secrets": (set(re.findall(r"\$\{(\w+):-", script)), set()),
        "collector": (set(re.findall(r"\$\{env:(\w+)", config)), set(re.findall(r"\$\{env:(\w+)\}", config))),
    }
    # Variables of Go and of the images, which their documentation describes.
    foreign = {"collector": {"GOMEMLIMIT"}, "clickhouse": {"CLICKHOUSE_SKIP_USER_SETUP"}}
    for name, service in SERVICES.items():
        told = set(service.get("environment") or ()) - foreign.get(name, set())
        if name == "grafana":
            assert all(re.fullmatch(r"GF_[A-Z]+(_[A-Z]+)+(__FILE)?", each) for each in told)
        else:
            may, must = asked.get(name, (set(), set()))
            assert must <= told <= may, name
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):-", text)) == set(re.findall(r"GENESIS_\w+_PORT", text.split("name:")[0]))


def test_every_address_is_that_of_a_service() -> None:
    """Every address in a service's environment is a service and a port on which that service listens; published ports
    are such ports too."""
    config = (ROOT / "otel-collector" / "config.yaml").read_text(encoding="utf-8")
    listens = {**LISTENS, "collector": {int(port) for port in re.findall(r"OTELCOL_\w+_PORT:-(\d+)", config)}}
    (source,) = datasources()
    addresses = {
        (source["jsonData"]["host"], str(source["jsonData"]["port"])),
        *re.findall(r"CLICKHOUSE_HOST:-(\w+):(\d+)", (DEPLOY / "genesis-otel.sh").read_text()),
        *re.findall(r"://(\w+):(\d+)", SERVICES["collector"]["environment"]["CLICKHOUSE_ENDPOINT"]),
    }
    assert addresses == {("clickhouse", "8123")} and 8123 in listens["clickhouse"]
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert int(port.rsplit(":", 1)[1]) in listens[name]
        if "healthcheck" in service:
            asked = re.search(r"//127\.0\.0\.1:(\d+)/", service["healthcheck"]["test"][-1])
            assert asked and int(asked[1]) in listens[name]
    outside = {port.rsplit(":", 1)[1]: port for service in SERVICES.values() for port in service.get("ports", [])}
    for variable, value in SERVICES["secrets"]["environment"].items():
        default = re.search(r":-(\d+)\}", value)
        assert default and f":{value}:" in outside[default[1]], variable


def test_every_health_check_runs_a_program_that_exists(secrets: Path) -> None:
    """The program is the one that the first start copies beside the secrets, where its service may execute it, or
    ClickHouse's own."""
    for name in LASTING:
        program, *arguments = SERVICES[name]["healthcheck"]["test"][1:]
        assert arguments[:-1] == ["-q", "-T", "3", "-O", "/dev/null"]
        if name == "clickhouse":
            assert program == "wget"
        else:
            copied = here(name, program, volumes_of(secrets))
            assert copied.name == "wget" and stat.S_IMODE(copied.stat().st_mode) == 0o555
            assert copied.read_bytes() == Path(sys.executable).read_bytes()


def test_the_collector_s_queue_is_a_volume() -> None:
    """Spans that are not delivered yet outlive the container."""
    service = SERVICES["collector"]
    assert f"collector-queue:{service['environment']['OTELCOL_STORAGE']}" in service["volumes"]


def datasources() -> list[dict[str, Any]]:
    path = DEPLOY.parent / "grafana" / "provisioning" / "datasources" / "clickhouse.yaml"
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text())["datasources"]
    return found


def test_grafana_stays_within_the_reader_s_limits() -> None:
    """Grafana reads as the read-only user, which may set the time limit that the driver requests (five seconds more
    than the data source's own)."""
    (source,) = datasources()
    told = source["jsonData"]
    assert (told["host"], told["port"], told["protocol"]) == ("clickhouse", 8123, "http")
    profile = USERS.findtext(f"users/{told['username']}/profile")
    assert USERS.findtext(f"profiles/{profile}/readonly") == "1"
    assert USERS.find(f"profiles/{profile}/constraints/max_execution_time/changeable_in_readonly") is not None
    most = USERS.findtext(f"profiles/{profile}/constraints/max_execution_time/max")
    assert int(told["queryTimeout"]) + 5 <= int(most or 0)


# --- the passwords ----------------------------------------------------------------------------------------------------


def run_secrets(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", *(str(here("secrets", path)) for path in SERVICES["secrets"]["entrypoint"][1:]), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "SECRETS": str(folder),
            "USERS_XML": str(DEPLOY / "clickhouse" / "users.xml"),
            # Any program will do: the image's own is not available here.
            "BUSYBOX": sys.executable,
        },
        capture_output=True,
        text=True,
        check=check,
        timeout=200,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder after the first start."""
    run_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


def hashes(folder: Path) -> dict[str, str]:
    users = ET.parse(folder / "clickhouse" / "passwords.xml").getroot().find("users")  # noqa: S314 - our own file
    assert users is not None
    return {user.tag: user.findtext("password_sha256_hex") or "" for user in users}


def test_the_first_start_creates_passwords(secrets: Path, tmp_path: Path) -> None:
    """Each user gets its own long random password, and ClickHouse's file has its hash; no two starts create the
    same."""
    plain = {name: (secrets / name).read_text() for name in (*PLAIN, "grafana/admin_password", "grafana/secret_key")}
    assert all(re.fullmatch(r"[A-Za-z0-9]{40}", value) for value in plain.values())
    assert hashes(secrets) == {user: hashlib.sha256(plain[name].encode()).hexdigest() for user, name in HASHED.items()}
    run_secrets(tmp_path / "other")
    others = {name: (tmp_path / "other" / name).read_text() for name in plain}
    assert len({*plain.values(), *others.values()}) == 2 * len(plain)


def test_a_later_start_changes_nothing(secrets: Path) -> None:
    """After another start every file is unchanged, except for the grants, which come from the checkout."""
    before = contents(secrets)
    (secrets / "clickhouse" / "genesis.xml").chmod(0o600)
    (secrets / "clickhouse" / "genesis.xml").write_text("<old/>")
    assert run_secrets(secrets).stdout == ""
    assert contents(secrets) == before
    assert before["clickhouse/genesis.xml"] == (DEPLOY / "clickhouse" / "users.xml").read_bytes()


def test_only_their_reader_can_read_them(secrets: Path) -> None:
    """No secret is readable by others; run by root, as in the container, each belongs to the user of the one image that
    mounts it, which is the user the service runs as."""
    for name in ("clickhouse", "collector", "grafana", "owner", "queue", "backups"):
        assert stat.S_IMODE((secrets / name).stat().st_mode) == 0o700
    for name in contents(secrets):
        mode = stat.S_IMODE((secrets / name).stat().st_mode)
        assert mode & 0o007 == (0o005 if name.endswith("/wget") else 0) and mode & 0o222 == 0
    users = {**PLAIN, "clickhouse/passwords.xml": 101, "grafana/admin_password": 472}
    expected = users if os.geteuid() == 0 else dict.fromkeys(users, os.geteuid())
    assert {name: (secrets / name).stat().st_uid for name in users} == expected
    for service, uid in (("clickhouse", 101), ("collector", 10001), ("grafana", 472)):
        assert SERVICES[service]["user"].split(":")[0] == str(uid)
    assert f"USER {PLAIN['owner/password']}:" in (DEPLOY / "Dockerfile").read_text()


def test_an_interrupted_first_start_is_completed(secrets: Path) -> None:
    """If it was killed before ClickHouse's file existed, which is written last, the next start creates passwords with
    matching hashes."""
    (secrets / "clickhouse" / "passwords.xml").unlink()
    (secrets / "owner" / "password").unlink()
    run_secrets(secrets)
    for user, name in HASHED.items():
        assert hashes(secrets)[user] == hashlib.sha256((secrets / name).read_bytes()).hexdigest()


def test_a_lost_password_is_reported(secrets: Path) -> None:
    """If a password is missing and only its hash is left, the start fails and says what to do, and doing that works."""
    (secrets / "collector" / "password").unlink()
    done = run_secrets(secrets, check=False)
    assert done.returncode == 1 and "collector/password is missing" in done.stderr and "secrets rotate" in done.stderr
    run_secrets(secrets, "rotate")
    assert run_secrets(secrets).returncode == 0


def test_rotating_changes_the_passwords_of_clickhouse(secrets: Path) -> None:
    """All three get new ones with matching hashes; Grafana's own stay, since Grafana has them in its database."""
    before = contents(secrets)
    run_secrets(secrets, "rotate")
    after = contents(secrets)
    assert {name for name in after if after[name] != before[name]} == {*PLAIN, "clickhouse/passwords.xml"}
    for user, name in HASHED.items():
        assert hashes(secrets)[user] == hashlib.sha256(after[name]).hexdigest()


def test_show_prints_the_created_passwords(secrets: Path, tmp_path: Path) -> None:
    """`show` prints Grafana's password and a URL for each user, which this package can read; before the first start it
    says that there are no passwords yet."""
    said = run_secrets(secrets, "show").stdout
    assert (secrets / "grafana" / "admin_password").read_text() in said
    urls = {parts.username: parts for parts in map(errors.split_url, re.findall(r"CLICKHOUSE_URL=(\S+)", said))}
    assert {user: parts.password for user, parts in urls.items()} == {
        user: (secrets / name).read_text() for user, name in HASHED.items()
    }
    assert {(parts.hostname, parts.port, parts.path) for parts in urls.values()} == {("127.0.0.1", 8123, "/genesis")}
    nothing = run_secrets(tmp_path / "nothing", "show", check=False)
    assert nothing.returncode == 1 and "docker compose up" in nothing.stderr
    wrong = run_secrets(secrets, "sohw", check=False)
    assert wrong.returncode == 1 and "use init, show or rotate" in wrong.stderr


def test_the_owner_s_command_has_the_password_in_its_url(secrets: Path, tmp_path: Path) -> None:
    """The schema service runs `genesis-otel` with a URL that has the password from the file, and passes its arguments
    on."""
    text = (DEPLOY / "genesis-otel.sh").read_text().replace("/run/genesis", str(secrets / "owner"))
    (tmp_path / "genesis-otel").write_text('#!/bin/sh\necho "$CLICKHOUSE_URL" "$@"\n')
    (tmp_path / "genesis-otel").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", text, "sh", "init", "--x y"], env=environment, capture_output=True, text=True)
    password = (secrets / "owner" / "password").read_text()
    assert done.stdout == f"http://genesis:{password}@clickhouse:8123/genesis init --x y\n"


def test_the_collector_runs_as_its_service(tmp_path: Path) -> None:
    """A real collector with the command, environment and files of its service, in front of a database of that name,
    connects with the password from its file, answers its health check, and delivers."""
    service = SERVICES["collector"]
    store = Store(tmp_path / "store")
    volumes = {"collector-secrets": tmp_path / "secrets", "collector-queue": tmp_path / "queue"}
    for folder in volumes.values():
        folder.mkdir()
    (volumes["collector-secrets"] / "password").write_text(PASSWORD)
    environment = {name: value.replace("$$", "$") for name, value in service["environment"].items()}
    # What differs here; a store process has one user, who may write.
    environment["CLICKHOUSE_ENDPOINT"] = environment["CLICKHOUSE_ENDPOINT"].replace(
        "clickhouse:8123", f"127.0.0.1:{store.port}"
    )
    environment["CLICKHOUSE_USER"] = "genesis"
    environment["OTELCOL_STORAGE"] = str(here("collector", environment["OTELCOL_STORAGE"], volumes))
    environment["CLICKHOUSE_PASSWORD"] = re.sub(
        r"(?<=file:)[\w/]+", lambda found: str(here("collector", found[0], volumes)), environment["CLICKHOUSE_PASSWORD"]
    )
    (option,) = service["command"]
    config = here("collector", option.removeprefix("--config="))
    collector = Collector(binary(), tmp_path, [config], environment)
    with running(store):
        url = store.url.replace("//", f"//genesis:{PASSWORD}@") + f"/{environment['CLICKHOUSE_DATABASE']}"
        with contextlib.closing(connection.connect(url, create=True)) as client, running(collector):
            schema.init_schema(client)
            asked = re.sub(r":\d+/", f":{collector.health}/", service["healthcheck"]["test"][-1])
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - on this machine
                assert answer.status == 200
            send_a_span(collector)
            until(lambda: client.command("SELECT count() FROM otel_traces") == 1, "the span's arrival")
            assert list(volumes["collector-queue"].iterdir())


def send_a_span(collector: Collector) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://127.0.0.1:{collector.http}/v1/traces"))
    )
    provider.get_tracer("compose").start_span("one").end()
    provider.shutdown()


# --- the users --------------------------------------------------------------------------------------------------------

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


def as_user(server: Path, user: str, statements: list[str]) -> list[Any]:
    """The result of each statement as that user: rows, or the code of the error."""
    for path in (server / "secrets" / "clickhouse").glob("*.xml"):
        shutil.copyfile(path, server / "users.d" / path.name)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "support" / "as_user.py"), user],
        input=json.dumps(statements),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=server,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(statements)
    return answers


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


# --- docs/production.md -----------------------------------------------------------------------------------------------


def statements() -> list[str]:
    blocks = re.findall(r"```sql\n(.*?)```", PRODUCTION.read_text(encoding="utf-8"), re.DOTALL)
    found = [each.strip() for block in blocks for each in re.split(r";\s*$", block, flags=re.MULTILINE)]
    return [each for each in found if re.sub(r"--[^\n]*", "", each).strip()]


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
