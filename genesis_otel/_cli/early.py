"""Starts the store's process before the command line is loaded, which takes as long as a fifth of that process's start.

In: the arguments of a command. Out: nothing; :func:`genesis_otel._serve.client.open_store` waits for what was started. On failure: nothing:
the command will meet the same failure, and report it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

READING = ("runs", "show", "best", "diff", "lineage", "query")
"""Commands that do nothing but ask the store."""


def start_store(given: Sequence[str]) -> None:
    """Start the process of the embedded store if this command will ask it, and it is not running."""
    # Options before the command, as --url, are not read here.
    if not given or given[0] not in READING or not {"-h", "--help", "--list"}.isdisjoint(given):
        return
    from genesis_otel._serve import client
    from genesis_otel._serve.folder import ENGINE
    from genesis_otel._settings import Embedded, load_settings

    with contextlib.suppress(Exception):
        store = load_settings().store
        if isinstance(store, Embedded) and (store.folder / ENGINE).is_dir() and not client.running(store.folder):
            client.start_soon(store.folder)
