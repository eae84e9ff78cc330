"""A search of ShinkaEvolve in a separate process: ``python -m tests.support.shinka_driver FOLDER URL GENERATIONS``.

In: the folder of the search and of its record, and the model's endpoint. Out: a recorded search; its evaluations also
call a model, in their own process. On failure: a traceback; interrupted by SIGINT like any program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.shinka_endpoint import EVALUATE

ASKING = """
import genesis_otel
from genesis_otel import spans
genesis_otel.configure()
with spans.attached(spans.from_environment()), spans.llm_call("judge-model", provider="openai", messages="How good is it?", role="judge") as call:
    call.response("Good.", input_tokens=7, output_tokens=3, cost=0.25)
"""


def main() -> None:
    """Run it."""
    folder, url, generations = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.environ |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-secret", "NO_PROXY": "127.0.0.1"}
    os.environ |= {"GENESIS_OTEL_DATA_DIR": str(folder / "data")}
    import genesis_otel

    genesis_otel.configure()
    genesis_otel.instrument()
    assert "shinka" not in sys.modules
    from tests.support.shinka_search import runner

    runner(folder, generations=generations, evaluate=EVALUATE + ASKING, evo={"meta_rec_interval": None}).run()


if __name__ == "__main__":
    main()
