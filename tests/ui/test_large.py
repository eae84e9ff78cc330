"""A search whose individuals are too many for one piece of an answer and for one shape each on a canvas, in a real browser."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By

from genesis_otel._serve.folder import ENGINE
from genesis_otel._store import connection, version
from genesis_otel._ui.app import ROWS, pieces
from tests.support.browser import errors, eventually, open_browser
from tests.support.environment import without_settings
from tests.support.large_search import filled
from tests.support.searched import end_store

INDIVIDUALS = ROWS + 2_000


def test_an_answer_with_many_rows_is_several_lines() -> None:
    """Each line is JSON with some of the rows and the cursor; together they have every row once, in order. Any other answer is one line."""
    told: dict[str, Any] = {
        "since": 7,
        "columns": {"id": [str(number) for number in range(INDIVIDUALS)]},
        "metrics": {"size": list(range(INDIVIDUALS))},
    }
    lines = [json.loads(line) for line in b"".join(pieces(told)).splitlines()]
    assert [line["since"] for line in lines] == [7, 7]
    assert [each for line in lines for each in line["columns"]["id"]] == told["columns"]["id"]
    assert [each for line in lines for each in line["metrics"]["size"]] == told["metrics"]["size"]
    for other in ({"since": 3, "columns": {}}, {"metrics": [["size", 1]]}, [1, 2], {}):
        (line,) = b"".join(pieces(other)).splitlines()
        assert json.loads(line) == other


def codes(folder: Path, *statements: str) -> list[int]:
    """The sizes of the programs in the store of a search of this kind, after ``statements`` and another call of `filled`."""
    filled(folder, 20, 1)
    with contextlib.closing(connection.open_embedded(folder / ENGINE)) as client:
        for each in statements:
            client.command(each, settings={"mutations_sync": 2})
    filled(folder, 20, 1)
    with contextlib.closing(connection.open_embedded(folder / ENGINE)) as client:
        return [
            row[0] for row in client.query("SELECT length(code) FROM individuals ORDER BY individual_id").result_rows
        ]


def test_a_kept_store_is_filled_anew_for_another_schema(tmp_path: Path) -> None:
    """Its upgrade would leave rows that were made of the raw spans, without programs; a store of this schema is left as it is."""
    empty = "ALTER TABLE individuals UPDATE code = '' WHERE 1"
    earlier = f"ALTER TABLE {version.TABLE} MODIFY COMMENT 'genesis-otel schema 2, for 1 and later'"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        assert elsewhere.submit(codes, tmp_path, empty).result() == [0] * 20
        assert 0 not in elsewhere.submit(codes, tmp_path, earlier).result()


def test_a_large_search_is_drawn(tmp_path: Path) -> None:
    """All individuals and calls are counted, the tree has the colours of scores, and a click on it opens an individual with its program."""
    # In another process: one has a single folder of the engine, and here that may be another test's.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        run, _ = elsewhere.submit(filled, tmp_path / "store", INDIVIDUALS).result()
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "ui", "--no-open"],
        env={**without_settings(), "GENESIS_OTEL_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    driver = open_browser(tmp_path / "browser")
    try:
        driver.get(address)
        driver.get(f"{address.partition('?')[0]}#/run/{run}/tree")
        colours = eventually(
            lambda: driver.execute_script(
                "const canvas = document.querySelector('.tree canvas'); if (!canvas || canvas.width < 400) return 0;"
                "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
                "return new Set(new Uint32Array(data.buffer)).size"
            )
        )
        assert colours > 50
        # One in fifty is a copy, except in the first generation.
        individuals = driver.execute_async_script(
            "fetch(`/api/run?run=${arguments[0]}`).then((answer) => answer.json()).then(arguments[1])", run
        )
        assert individuals["individuals"] < INDIVIDUALS
        said = [f"{individuals[name]:,}" for name in ("individuals", "llm_calls")]
        eventually(lambda: all(each in driver.find_element(By.CSS_SELECTOR, ".head").text for each in said))
        driver.find_element(By.CSS_SELECTOR, ".tree canvas").click()
        assert "step(" in eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .code"))[0].text
        assert errors(driver) == []
    finally:
        driver.quit()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        end_store(tmp_path / "store")
