"""``python -m genesis_otel`` is the command ``genesis-otel``.

In: its arguments. Out: its answers and its exit code. On failure: the same.
"""

import sys

from genesis_otel._cli.app import main

sys.exit(main())
