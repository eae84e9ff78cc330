"""`install_logger()`: Genesis' logger is ours in whichever order things are imported, and the runs that it began end
with the process.

Genesis itself is on no package index (`make genesis` runs it). These tests use a package of the same shape: the first
logger's module, and modules that import it as Genesis does, within functions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genesis_otel.instrumentation import genesis, installed
from tests.support.environment import without_settings
from tests.support.pipeline import ROOT

FILES = {
    "genesis/__init__.py": "",
    "genesis/utils/__init__.py": "",
    "genesis/utils/clickhouse_logger.py": (
        "import sys\n"
        "print('the first logger connects', file=sys.stderr)\n"
        "class ClickHouseLogger:\n    enabled = True\n    def log_action(self, **told):\n        pass\n"
        "ch_logger = ClickHouseLogger()\n"
    ),
    "genesis/core/__init__.py": "from genesis.core.runner import run\n",
    "genesis/core/runner.py": (
        "def run():\n    from genesis.utils.clickhouse_logger import ch_logger\n    return ch_logger\n"
        "def ask():\n    from genesis.llm.query import query\n    return query()\n"
    ),
    "genesis/llm/__init__.py": "",
    "genesis/llm/query.py": "def query():\n    from genesis.utils.clickhouse_logger import ch_logger\n    return ch_logger\n",
}
"""The modules of Genesis, as far as the logger is concerned."""

SAY = """
def every():
    import genesis.core.runner as runner
    import genesis.utils.clickhouse_logger as module
    from genesis.utils import clickhouse_logger as again
    import genesis.utils.clickhouse_logger
    return [runner.run(), runner.ask(), module.ch_logger, again.ch_logger, genesis.utils.clickhouse_logger.ch_logger]
from genesis_otel.clickhouse_logger import ClickHouseLogger
print([isinstance(each, ClickHouseLogger) for each in every()])
"""
INSTALL = "import genesis_otel\ngenesis_otel.install_logger()\n"


@pytest.fixture
def shaped(tmp_path: Path) -> Path:
    """A folder with the package."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(program: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = without_settings()
    environment = {**kept, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "GENESIS_OTEL_QUIET": "true", **settings}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


ORDERS = {
    "before everything": INSTALL,
    "after the package": "import genesis, genesis.utils\n" + INSTALL,
    "after the modules that import it": "import genesis.core, genesis.llm.query\n" + INSTALL,
    "twice": INSTALL + INSTALL,
    "after a call": "import genesis.core.runner\ngenesis.core.runner.run()\n" + INSTALL,
    "after its own module": "import genesis.utils.clickhouse_logger\n" + INSTALL,
}


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_was_imported_before(shaped: Path, order: str) -> None:
    """Wherever Genesis gets its logger from, and whatever the form of the import, it is ours; Genesis' own connects
    only if it was imported before."""
    done = run(ORDERS[order] + SAY, shaped)
    assert done.stdout == f"{[True] * 5}\n", done.stderr
    assert ("the first logger connects" in done.stderr) == (order in ("after a call", "after its own module"))


def test_names_that_were_taken_before(shaped: Path) -> None:
    """A module that took the first logger and its class from Genesis has ours from then on; objects of the same name
    from elsewhere stay."""
    program = (
        "from genesis.utils.clickhouse_logger import ClickHouseLogger as Theirs, ch_logger as log\n"
        "ch_logger = 'mine'\n" + INSTALL + "from genesis_otel import clickhouse_logger as ours\n"
        "print(log is ours.ch_logger, Theirs is ours.ClickHouseLogger, ch_logger)\n"
    )
    assert run(program, shaped).stdout == "True True mine\n"


def test_reloaded(shaped: Path) -> None:
    """Reloading Genesis' module does not bring back its own logger."""
    program = INSTALL + "import importlib, genesis.utils.clickhouse_logger as m\nimportlib.reload(m)\n" + SAY
    done = run(program, shaped)
    assert done.stdout == f"{[True] * 5}\n", done.stderr


def test_without_genesis(tmp_path: Path) -> None:
    """If Genesis is not installed, nothing happens, and importing its logger fails as it would without us."""
    program = (
        INSTALL
        + "try:\n    import genesis.utils.clickhouse_logger\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    assert run(program, tmp_path).stdout == "genesis\n"


def test_instrument_waits_for_genesis(shaped: Path) -> None:
    """`instrument()` says that it records Genesis without importing it; a later import gets the module as it would be
    without us, and hooks that this version lacks are named in one warning and stop nothing."""
    program = (
        "import importlib.machinery, sys\n"
        "import genesis_otel\n"
        "print(genesis_otel.instrument()['genesis'] == 'genesis-otel ' + genesis_otel.__version__)\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'genesis'])\n"
        "import genesis.core.runner as runner\n"
        "print(type(runner.__spec__.loader).__name__, type(runner.__loader__).__name__)\n" + SAY
    )
    done = run(program, shaped, GENESIS_OTEL_ENABLED="false")
    assert done.stdout == f"True\n[]\nSourceFileLoader SourceFileLoader\n{[True] * 5}\n", done.stderr
    assert done.stderr.count("Genesis' searches are not recorded, only its logger's calls") == 1


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("raise LookupError('no such model')", "LookupError: no such model (still open when its process ended)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: interrupted (Ctrl-C) (still open when its process ended)"),
        ("sys.exit(3)", "still open when its process ended"),
        ("", "still open when its process ended"),
    ],
)
def test_a_run_that_is_left_open(shaped: Path, end: str, error: str) -> None:
    """A run that Genesis' calls began, and that a crash, Ctrl-C or the program's end leaves open, has failed, with the
    reason; the program's own `sys.excepthook` is called as before."""
    program = (
        INSTALL + "import sys\nbefore = sys.excepthook\n"
        "def hook(*told):\n    print('hook', told[0].__name__)\n    before(*told)\n"
        "sys.excepthook = hook\n"
        "from genesis.core.runner import run\n"
        "run().log_evolution_run('r', 'task', {}, 1, 'local', 'results', status='running')\n" + end
    )
    done = run(program, shaped, GENESIS_OTEL_DATA_DIR=str(shaped / "data"), CLICKHOUSE_URL=f"chdb://{shaped / 'store'}")
    assert (done.returncode == 0) == (end == ""), done.stderr
    assert done.stdout == (f"hook {end.split()[1].partition('(')[0]}\n" if end.startswith("raise") else "")
    question = [sys.executable, "-m", "genesis_otel", "--url", f"chdb://{shaped / 'store'}", "runs", "--format", "json"]
    told = subprocess.run(question, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    (found,) = json.loads(told.stdout)
    assert (found["status"], found["error"]) == ("failed", error)


def test_another_package_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`instrument()` leaves another package named `genesis` alone, without a warning."""
    (tmp_path / "genesis").mkdir()
    (tmp_path / "genesis" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not genesis.is_installed()
    assert "genesis" not in installed._frameworks(None, None, None)
