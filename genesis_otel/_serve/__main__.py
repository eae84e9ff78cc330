"""The store process in the background: ``python -m genesis_otel._serve FOLDER DESCRIPTOR``, nobody's child.

In: the folder of an embedded store, and the descriptor on which whoever started it waits for a word. Out: ``ready`` there as
soon as readers are answered, then the log on standard error. On failure: what is wrong stands there instead, and in the log.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger("genesis_otel._serve")


def main(folder: str, report: str) -> None:
    """Be a store process of nobody: ``report`` is the descriptor on which whoever started it waits for a word."""
    if os.fork():
        os._exit(0)
    # chDB loads pyarrow where it is installed, and numpy with it: 95 ms of CPU and 38 MB, for kinds of answers that are never asked for
    # here. It does without where it is not.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    # Only now: what the process that ends above has used counts as the search's own.
    from genesis_otel._serve.process import serve
    from genesis_otel._store.errors import StoreError

    word = os.fdopen(int(report), "w")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")

    def say(text: str) -> None:
        if not word.closed:
            with contextlib.suppress(OSError):
                word.write(f"{' '.join(text.split())}\n")
                word.close()

    try:
        serve(Path(folder), ready=lambda address: say("ready"))
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
