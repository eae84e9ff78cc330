"""What 0.1.0 left on disk (``tests/fixtures/v0_1_0``), as copies that a test may change, and this version's store process on one."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tests.support.pipeline import Store, running

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v0_1_0"


def unpacked(name: str, folder: Path) -> Path:
    """A copy of a fixture in a folder that 0.1.0 has never seen."""
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Client]:
    """A client of a store process on a folder; the process drains the folder's spool."""
    store = Store(folder)
    with running(store), contextlib.closing(store.client()) as client:
        yield client
