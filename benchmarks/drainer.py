"""Does only what an exporter's thread does: takes all spans out of a spool and inserts them in batches of a given size.

Run only by ``ingest.py``, in a separate process and with the package of any commit on the path. In: two spools; the first is for warming up,
then ``ready`` is printed, and a line on standard input starts the second. Out: seconds of CPU of this process, and the number of spans.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import Limits

# Its place in 0.1.0.
DELIVERY = "genesis_otel._ship.delivery.drain" if find_spec("genesis_otel._ship") else "genesis_otel._drain"


def main() -> None:
    """Drain both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("warm", type=Path)
    parser.add_argument("spool", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("rows", type=int)
    given = parser.parse_args()

    def connect() -> Client:
        password = os.environ["STORE_PASSWORD"]
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=given.port, username="genesis", password=password, autogenerate_session_id=False
        )

    exporter = ClickHouseSpanExporter(connect)
    limits = Limits(max_rows=given.rows) if given.rows else Limits()
    drain = import_module(DELIVERY).drain
    drain(given.warm, exporter, limits)
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.process_time()
    count = drain(given.spool, exporter, limits)
    print(time.process_time() - begun, count, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
