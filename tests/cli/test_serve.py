"""`serve`: the store process in the foreground."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.command import Run, server_url, started
from tests.support.pipeline import free_ports

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_serve_in_the_foreground(run: Run, empty: Path) -> None:
    """It prints its address, answers there, prevents a second one, and ends at Ctrl-C."""
    port = free_ports(1)[0]
    process = started("serve", "--port", str(port), start_new_session=True)
    assert process.stdout
    said = process.stdout.readline().decode()
    assert said.startswith(f"chdb://{empty}/store answers on http://127.0.0.1:{port} to user genesis")
    assert run("--url", server_url(empty, "default"), "query", "SELECT 1 AS one")[1] == "one\n1\n"
    code, _, err = run("serve")
    assert code == 1 and f"process {process.pid} already serves" in err
    process.send_signal(signal.SIGINT)
    _, err_bytes = process.communicate(timeout=120)
    assert process.returncode == 0 and b"Traceback" not in err_bytes


def test_serve_is_for_the_embedded_store(run: Run) -> None:
    """With a server's URL there is nothing to serve."""
    code, _, err = run("--url", "http://somewhere:8123/db", "serve")
    assert code == 1 and "only the embedded store has a store process" in err
