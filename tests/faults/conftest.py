"""How often each fault is tried: ``--seeds 20`` runs it twenty times, at moments that the seed decides; once by
default."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=1, help="how many seeds each fault is tried with")
    parser.addoption("--first-seed", type=int, default=1, help="the first of them")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--first-seed", default=1)
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--seeds", default=1)))
