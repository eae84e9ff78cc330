"""The command ``genesis-otel``, also as ``python -m genesis_otel``.

In: its arguments. Out: its answers and its exit code. On failure: the same.
"""

import sys

from genesis_otel._cli.early import start_store


def main() -> int:
    """Run the command and return its exit code."""
    start_store(sys.argv[1:])
    from genesis_otel._cli.app import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
