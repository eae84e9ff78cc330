"""What the guard of the store process asks the engine, and what it remembers of the answers. What it refuses is in test_serve.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from chdb.state.sqlitelike import Connection

from genesis_otel import queries
from genesis_otel._serve.http import guard
from genesis_otel._serve.http.front import _asker
from genesis_otel._serve.http.guard import Guard, RefusedError
from tests.conftest import Connect


class Asked:
    """An engine that counts what it is asked."""

    def __init__(self, connection: Connection) -> None:
        self._ask = _asker(connection)
        self.times = 0

    def __call__(self, sql: str, parameters: Mapping[str, str]) -> str:
        self.times += 1
        return self._ask(sql, parameters)


@pytest.fixture
def asked(engine: object, connect: Connect) -> Iterator[Asked]:
    """The test's engine."""
    connection = Connection(str(engine))
    yield Asked(connection)
    connection.close()


def test_a_statement_that_is_asked_again_is_not_parsed_again(asked: Asked) -> None:
    """The judgement of a named query is the same the second time, and costs no question to the engine."""
    judge = Guard(asked)
    sql, parameters = (
        queries.load("runs").sql,
        {"task": "", "status": "", "tag": "", "limit": "20", "stalled_after": "900", "alive": "[]"},
    )
    first = judge.check(sql, parameters, asked)
    before = asked.times
    assert judge.check(sql, dict(reversed(parameters.items())), asked) == first
    assert asked.times == before
    judge.check(sql, {**parameters, "limit": "21"}, asked)
    assert asked.times > before


def test_what_is_allowed_with_one_name_is_refused_with_another(asked: Asked) -> None:
    """A judgement counts for its parameters alone, and what was refused once is refused again."""
    judge = Guard(asked)
    sql = "SELECT * FROM {t:Identifier}"
    assert judge.check(sql, {"t": "numbers"}, asked).kind == "SelectWithUnionQuery"
    for _ in range(2):
        with pytest.raises(RefusedError, match="a file"):
            judge.check(sql, {"t": "/etc/passwd"}, asked)
        with pytest.raises(RefusedError, match="outside"):
            judge.check("SELECT file('/etc/passwd')", {}, asked)


def test_what_is_remembered_is_bounded(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statement that was asked longest ago is forgotten first, and one with a large value is not remembered at all."""
    monkeypatch.setattr(guard, "REMEMBERED", 2)
    judge = Guard(asked)

    def is_known(sql: str, value: str) -> bool:
        before = asked.times
        judge.check(sql, {"x": value}, asked)
        return asked.times == before

    sql = "SELECT {x:String}"
    assert [is_known(sql, value) for value in ("a", "b", "a", "c", "a", "b")] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    large = "x" * guard.REMEMBERED_CHARACTERS
    assert [is_known(sql, large), is_known(sql, large), is_known(sql, "a")] == [False, False, True]


def test_no_function_opens_a_table_that_a_text_names(asked: Asked, tmp_path: Path) -> None:
    """A text may be the path of a file. Every function that the guard lets through leaves a file of its own alone, wherever it is named."""
    names = asked("SELECT name FROM system.functions WHERE match(name, '^\\\\w+$')", {}).split()
    for name in names:
        if guard.FUNCTIONS_OUTSIDE.fullmatch(name) or name.lower().startswith("sleep"):
            continue
        path = tmp_path / name
        path.write_text("a,b\n1,2\n")
        for arguments in (
            f"'{path}', 'a', 1",
            f"'default.{path}', 'a', 1",
            f"'default.{path}', 1",
            f"'default', '{path}', 'a'",
        ):
            with contextlib.suppress(RuntimeError):
                asked(f"SELECT {name}({arguments})", {})
    opened = "SELECT source FROM system.schema_inference_cache WHERE startsWith(source, {folder:String})"
    assert not asked(opened, {"folder": str(tmp_path)}).split()
    path = tmp_path / "opened"
    path.write_text("a,b\n1,2\n")
    asked(f"SELECT * FROM `{path}`", {})
    assert asked(opened, {"folder": str(tmp_path)}).split() == [str(path)]
