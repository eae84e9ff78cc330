"""The first start of the services: it creates their passwords, each readable by its service alone."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from genesis_otel._store import errors
from tests.support.services import DEPLOY, SERVICES, run_secrets

PLAIN = {"owner/password": 10002, "collector/password": 10001, "grafana/clickhouse_password": 472}
HASHED = {"genesis": "owner/password", "ingest": "collector/password", "grafana": "grafana/clickhouse_password"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
