"""`--help`: every command and every option says what it does, and the README has every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from genesis_otel._cli.app import application

ROOT = Path(__file__).parents[2]


def commands(of: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    """Every command with the words that call it, without the program's own name."""
    assert isinstance(of, (TyperCommand, TyperGroup))
    yield path, of
    for name, command in of.commands.items() if isinstance(of, TyperGroup) else ():
        yield from commands(command, (*path, name))


ALL = dict(commands(typer.main.get_command(application())))
EACH = [pytest.param(path, id=" ".join(path) or "genesis-otel") for path in ALL]


@pytest.mark.parametrize("path", EACH)
def test_help_says_in_the_imperative_what_a_command_does(path: tuple[str, ...]) -> None:
    """The first sentence begins with a verb in the imperative ("List runs", not "Lists runs") and ends with a full stop."""
    first, *_ = re.split(r"\n\n", (ALL[path].help or "").strip())
    assert re.match(r"[A-Z][a-z]+ ", first), first
    assert not re.match(r"\w+s ", first), first
    assert first.endswith(".")


@pytest.mark.parametrize("path", EACH)
def test_every_option_and_argument_has_help(path: tuple[str, ...]) -> None:
    """Each says what it is for, in a sentence."""
    for parameter in ALL[path].params:
        told = getattr(parameter, "help", None) or ""
        assert len(told) > 3 and told.endswith("."), (path, parameter.name, told)


@pytest.mark.parametrize("path", EACH)
def test_every_command_is_in_the_readme(path: tuple[str, ...]) -> None:
    """The table of commands has a row for each, and the row of a group has each command of the group."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## The command")[1].split("\n## ")[0]
    if not path:
        return
    row = re.search(rf"^\| `{path[0]}[ `].*$", table, re.MULTILINE)
    assert row, path
    assert all(f"`{word}`" in row[0] for word in path[1:]), (path, row[0])
