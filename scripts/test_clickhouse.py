#!/usr/bin/env python3
"""The connection test: ``python scripts/test_clickhouse.py`` is ``genesis-otel check``.

In: ``CLICKHOUSE_URL``, or nothing for the embedded store. Out: what was found. On failure: what is wrong and what to do, and
exit code 1.
"""

import sys

try:
    from genesis_otel._cli.app import main
except ImportError as error:
    sys.exit(f"{(error.name or 'genesis_otel').replace('_', '-')} not installed: pip install 'genesis-otel[embedded]'")

if __name__ == "__main__":
    sys.exit(main(["check", *sys.argv[1:]]))
