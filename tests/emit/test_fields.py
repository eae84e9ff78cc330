"""Settings as fields: which values each type accepts, where values come from, and how an invalid one is reported."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta
from pydantic import SecretStr

from genesis_otel._fields import Secret, named, read, surroundings


@dataclass(frozen=True)
class Wanted:
    """One field of each type."""

    on: bool = False
    name: str | None = None
    key: Secret | None = named("FIRST_KEY", "SECOND_KEY")
    folder: Path = Path("there")
    patterns: tuple[str, ...] = ()
    size: Annotated[int, Meta(gt=0)] = 5
    seconds: Annotated[float, Meta(ge=0)] = 1.0
    budget: Annotated[float, Meta(gt=0, le=sys.float_info.max)] | None = None


def told(**arguments: Any) -> dict[str, Any]:
    return read(Wanted, "W_", arguments, surroundings())


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("on", "Yes", True),
        ("on", "0", False),
        ("on", 1, True),
        ("name", "7", "7"),
        ("name", None, None),
        ("key", "x", Secret("x")),
        ("key", SecretStr("x"), Secret("x")),
        ("folder", "a", Path("a")),
        ("patterns", '["a"]', ("a",)),
        ("patterns", ["a", "b"], ("a", "b")),
        ("size", " 1000", 1000),
        ("size", 7.0, 7),
        ("seconds", "inf", float("inf")),
        ("budget", " 0.5 ", 0.5),
    ],
)
def test_usual_forms_of_a_value_are_converted_to_its_type(name: str, given: Any, value: object) -> None:
    """An argument as programs and environments write it is accepted; anything else is not."""
    assert told(**{name: given}) == {name: value}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("on", "perhaps"),
        ("on", None),
        ("on", 2),
        ("on", 0.5),
        ("name", 7),
        ("key", 7),
        ("folder", 7),
        ("patterns", "hunter2"),
        ("patterns", '{"hunter2": 1}'),
        ("patterns", [1]),
        ("size", "0"),
        ("size", "1.5"),
        ("size", "inf"),
        ("seconds", "-1"),
        ("seconds", "nan"),
        ("seconds", "hunter2"),
        ("budget", "0"),
        ("budget", "inf"),
    ],
)
def test_an_invalid_value_is_reported_without_repeating_it(name: str, given: Any) -> None:
    """One line has the field and what it must be."""
    with pytest.raises(ValueError, match=f"^wrong settings: {name}: Expected [^\n]+$") as caught:
        told(**{name: given})
    assert "hunter2" not in str(caught.value)


def test_every_invalid_value_is_reported() -> None:
    """All of them are reported, not only the first."""
    with pytest.raises(ValueError, match=r"size: .*; seconds: "):
        told(size=0, seconds=-1)


def test_variables_have_an_order_and_ignore_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first of two variables counts, the environment takes precedence over the file, and an empty variable counts
    as unset."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("SECOND_KEY=file\nW_SIZE=3\nW_FOLDER=${W_SIZE}/in\n")
    assert told() == {"key": Secret("file"), "size": 3, "folder": Path("3/in")}
    monkeypatch.setenv("SECOND_KEY", "second")
    monkeypatch.setenv("w_size", "4")
    monkeypatch.setenv("W_NAME", "")
    assert told() == {"key": Secret("second"), "size": 4, "folder": Path("3/in")}
    monkeypatch.setenv("FIRST_KEY", "first")
    assert told(size=5)["key"] == Secret("first") and told(size=5)["size"] == 5


def test_a_secret_is_shown_nowhere_and_crosses_to_other_processes() -> None:
    """It is neither printed nor in an f-string; it equals another with the same text, here and after pickling."""
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret}{secret!r}{[secret]}"
    assert pickle.loads(pickle.dumps(secret)) == secret != Secret("other")  # noqa: S301
    assert {secret: 1}[Secret("hunter2")] == 1 and secret.get_secret_value() == "hunter2"
