"""Frozen dataclasses whose fields are settings: read from arguments, the environment, ``.env`` and defaults, in that order.

In: fields that :func:`setting` made, and arguments. Out: the values that are given, each of its field's type. On failure:
ValueError, one line that names every wrong field and never repeats a value, which may be a password.

pydantic-settings does the same, and its import takes 150 ms of CPU, in each worker of a search.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, field
from pathlib import Path
from typing import Any

FILE = ".env"
TRUE, FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")


class Secret:
    """A text that is shown nowhere."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def setting(
    convert: Callable[[Any], Any],
    default: Any = None,
    *variables: str,
    default_factory: Callable[[], Any] | None = None,
) -> Any:
    """A field.

    :param convert: makes a value of what was given; raises ValueError, whose text says what it has to be.
    :param variables: its names in the environment, the one that counts first; without any, the prefix and its name in capitals.
    """
    about = {"convert": convert, "variables": variables}
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=about)
    return field(default=default, metadata=about)


def variables_of(each: Field[Any], prefix: str) -> tuple[str, ...]:
    """The names of a field in the environment."""
    return tuple(each.metadata["variables"]) or (f"{prefix}{each.name}".upper(),)


def read(settings: Iterable[Field[Any]], prefix: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields that are given somewhere.

    :raises ValueError: one of them is wrong.
    """
    surroundings = [_named(os.environ), _named(_file())]
    values: dict[str, Any] = {}
    wrong = []
    for each in settings:
        names = [name.lower() for name in variables_of(each, prefix)]
        given = [place[name] for place in surroundings for name in names if name in place]
        if each.name in arguments:
            given.insert(0, arguments[each.name])
        if not given:
            continue
        try:
            values[each.name] = None if given[0] is each.default is None else each.metadata["convert"](given[0])
        except ValueError as error:
            wrong.append(f"{each.name}: {error}")
    if wrong:
        raise ValueError(f"wrong settings: {'; '.join(wrong)}")
    return values


def _named(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Variables by their names in small letters; an empty one is as good as none."""
    return {name.lower(): value for name, value in variables.items() if value}


def _file() -> Mapping[str, str | None]:
    if not Path(FILE).is_file():
        return {}
    # Few searches have such a file.
    from dotenv import dotenv_values

    return dotenv_values(FILE, encoding="utf-8")


# --- types ------------------------------------------------------------------------------------------------------------


def flag(value: Any) -> bool:
    """True or false, as a text in any usual form."""
    plain = str(value).strip().lower()
    if isinstance(value, (bool, int, str)) and plain in (*TRUE, *FALSE):
        return plain in TRUE
    raise ValueError("it has to be true or false")


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError("it has to be a text")  # noqa: TRY004 - of a value that is wrong, like the others
    return value


def secret(value: Any) -> Secret:
    """A text that is not to be shown; pydantic's SecretStr is taken, too."""
    return Secret(text(value.get_secret_value() if hasattr(value, "get_secret_value") else value))


def path(value: Any) -> Path:
    """A path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("it has to be a path")  # noqa: TRY004
    return Path(value)


def texts(value: Any) -> tuple[str, ...]:
    """Texts: a sequence, or a JSON list."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, str) for each in found):
        raise ValueError('it has to be a list of texts, in the environment as JSON: ["...", "..."]')
    return tuple(found)


def whole(*, above: int) -> Callable[[Any], int]:
    """A whole number above another."""

    def convert(value: Any) -> int:
        found = _float(value)
        if not found.is_integer() or found <= above:
            raise ValueError(f"it has to be a whole number above {above}")
        return int(found)

    return convert


def number(*, least: float = -math.inf, above: float = -math.inf, finite: bool = False) -> Callable[[Any], float]:
    """A number within bounds; never NaN."""

    def convert(value: Any) -> float:
        found = _float(value)
        if not (found > above and found >= least) or (finite and math.isinf(found)):
            raise ValueError(
                f"it has to be a number {f'above {above:g}' if above > -math.inf else f'of at least {least:g}'}"
            )
        return found

    return convert


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
