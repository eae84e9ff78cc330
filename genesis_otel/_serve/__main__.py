"""The store process as a daemon: ``python -m genesis_otel._serve FOLDER DESCRIPTOR``.

In: the folder of an embedded store, and the file descriptor on which the starting process waits for a report. Out: ``ready``, or that
it has upgraded the store, on that descriptor as soon as readers are served, then the log on standard error. On failure: the error on the descriptor instead, and in the log.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path


def main(folder: str, report: str) -> None:
    """Run a detached store process; ``report`` is the descriptor on which the starting process waits."""
    # If pyarrow is installed, chDB loads it, and numpy with it: 95 ms of CPU and 38 MB for output formats that are never used here.
    # chDB works without it.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    from genesis_otel._serve.client import UPGRADED
    from genesis_otel._serve.folder import upgrades
    from genesis_otel._serve.process import serve
    from genesis_otel._store.errors import StoreError

    log = logging.getLogger("genesis_otel._serve")
    word = os.fdopen(int(report), "w")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")

    def say(text: str) -> None:
        if not word.closed:
            with contextlib.suppress(OSError):
                word.write(f"{' '.join(text.split())}\n")
                word.close()

    try:
        serve(Path(folder), ready=lambda _: say(UPGRADED if upgrades(Path(folder)) else "ready"))
    except StoreError as error:
        log.error("%s", error)
        say(str(error))
        sys.exit(1)
    except BaseException:
        log.exception("the store process failed")
        say("")
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
