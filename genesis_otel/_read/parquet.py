"""Writes an answer to a Parquet file, encoded by the engine itself.

In: a client, a statement with its parameters, a path. Out: the file, and its size in bytes. On failure: what ClickHouse raises, or
NewFileError; no file is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from genesis_otel._store.new_file import whole

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Buffer the whole response: otherwise an error halfway would become part of the file.
WHOLE: dict[str, Any] = {"wait_end_of_query": 1}


def write(client: Client, sql: str, parameters: Mapping[str, Any], path: Path) -> int:
    """Write the rows of a statement into a new file."""
    with whole(path) as aside:
        asked = client.raw_stream(sql.strip().rstrip(";"), parameters=dict(parameters), settings=WHOLE, fmt="Parquet")
        with contextlib.closing(cast(BinaryIO, asked)) as stream, aside.open("xb") as file:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                file.write(piece)
    return path.stat().st_size
