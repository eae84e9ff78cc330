"""docker-compose.yml and the files that it mounts. Without a Docker engine, everything is run that can be run without
one."""

from __future__ import annotations

import contextlib
import re
import stat
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from genesis_otel import __version__
from genesis_otel._store import connection, schema
from tests.support.pipeline import PASSWORD, Collector, Store, binary, running
from tests.support.services import (
    COMPOSE,
    DEPLOY,
    ROOT,
    SERVICES,
    USERS,
    here,
    mounts,
    volumes_of,
)
from tests.support.waiting import until

ONCE = {"secrets", "schema"}
LASTING = sorted(set(SERVICES) - ONCE)
# Ports that an image listens on without a file of ours saying so.
LISTENS = {"clickhouse": {8123, 9000}, "grafana": {3000}}
# The path at which a service finds its own secrets.
OWN = {
    "clickhouse": "clickhouse-users",
    "collector": "collector-secrets",
    "grafana": "grafana-secrets",
    "schema": "owner-secrets",
}


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
