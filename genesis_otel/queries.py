"""The named queries: SQL that answers questions about searches, one file each under ``sql/queries``.

In: a name, and parameters by name. Out: the query's text, title, description and parameters; or its rows. Values go to
ClickHouse as server-side parameters (``{run_id:String}``), never into the text. On failure: :class:`UnknownQueryError` and
:class:`ParameterError` list what exists; what ClickHouse raises is passed on.

A file begins with comments: its title, its description, and one line per parameter, ``-- limit = 10: how many``, where the
value after ``=`` is the default. A default of ``latest`` for ``run_id`` means the newest run.

What several queries build on (which individual is the best, what a run costs, whether it is stalled) is defined once, in a file
under ``sql/parts``: ``@climb(run_id = {run_id:String})`` is replaced by its text, with the condition in place of ``@runs``. Parts are
text rather than objects in the store, so that readers need only the right to read, on any store, clusters included.

>>> from genesis_otel import queries
>>> query = queries.load("top_individuals")
>>> [parameter.name for parameter in query.parameters]
['run_id', 'limit']
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.query import QueryResult

__all__ = [
    "LATEST",
    "Parameter",
    "ParameterError",
    "Query",
    "UnknownQueryError",
    "ask",
    "columns",
    "load",
    "names",
    "part",
    "placeholders",
    "values",
    "values_in",
]

SQL = Path(__file__).parent / "sql"
"""The folder of the files. Not through ``importlib.resources``, whose modules every search would load, which imports this one."""
LATEST = "latest"
"""As a ``run_id``: the newest run, unless one has this id."""

_PLACEHOLDER = re.compile(r"\{(\w+):([^}]+)\}")
_PARAMETER = re.compile(r"(\w+)(?: = ?([^:]*))?: (.+)")
_PART = re.compile(r"@(\w+)\(")


class UnknownQueryError(LookupError):
    """There is no query with that name; the message suggests similar names."""


class ParameterError(ValueError):
    """A parameter is missing or unknown; the message lists the valid ones."""


class Parameter(NamedTuple):
    """A parameter of a query."""

    name: str
    type: str
    """ClickHouse's type."""
    default: str | None
    """None: it is required."""
    meaning: str


class Query(NamedTuple):
    """A named query."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    sql: str


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all queries, sorted."""
    found = (file.name for file in SQL.joinpath("queries").iterdir())
    return tuple(sorted(name.removesuffix(".sql") for name in found if name.endswith(".sql")))


@functools.cache
def load(name: str) -> Query:
    """The query with that name; hyphens are read as underscores.

    :raises UnknownQueryError: there is no such query.
    """
    name = name.replace("-", "_")
    if name not in names():
        import difflib

        near = difflib.get_close_matches(name, names(), n=3)
        known = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(names())}"
        raise UnknownQueryError(f"no query is named {name!r}: {known}")
    return parse(name, SQL.joinpath("queries", f"{name}.sql").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Query:
    """A query from the text of its file."""
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    title, *comments = (line[2:].strip() for line in lines[:head])
    sql = composed("\n".join(lines[head:]).strip())
    types = placeholders(sql)
    documented = {match[1]: match for line in comments if (match := _PARAMETER.fullmatch(line)) and match[1] in types}
    described = " ".join(line for line in comments if line and line not in {match[0] for match in documented.values()})
    # A parameter that the header does not describe is still required; a test checks that there is none.
    order = [*documented, *(each for each in types if each not in documented)]
    parameters = (
        Parameter(
            each,
            types[each],
            documented[each][2] if each in documented else None,
            documented[each][3] if each in documented else "",
        )
        for each in order
    )
    return Query(name, title, described, tuple(parameters), sql)


@functools.cache
def part(name: str, *arguments: str) -> str:
    """The text of ``sql/parts/{name}.sql`` with ``arguments`` in place of its parameters, in the order of its header.

    :param arguments: SQL, which is not checked: conditions and numbers of this package, never user input.
    """
    lines = SQL.joinpath("parts", f"{name}.sql").read_text("utf-8").splitlines()
    head = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    takes = [
        match[1] for line in lines[:head] if (match := _PARAMETER.fullmatch(line[2:].strip())) and match[1].islower()
    ]
    sql = "\n".join(lines[head:]).strip()
    if len(takes) != len(arguments):
        raise ParameterError(f"the part {name} takes {', '.join(takes) or 'nothing'}")
    for parameter, argument in zip(takes, arguments, strict=True):
        whole = f"({argument})" if " OR " in argument else argument
        sql = re.sub(rf"@{parameter}\b(?!\()", whole.replace("\\", "\\\\"), sql)
    return composed(sql)


def composed(sql: str) -> str:
    """``sql`` with each part that it names replaced by the part's text."""
    while match := _PART.search(sql):
        depth, begun, arguments = 1, match.end(), []
        for at in range(match.end(), len(sql)):
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            if depth == 0 or (depth == 1 and sql[at] == ","):
                arguments.append(sql[begun:at].strip())
                begun = at + 1
            if depth == 0:
                sql = sql[: match.start()] + part(match[1], *filter(None, arguments)) + sql[begun:]
                break
        else:
            raise ValueError(f"the parenthesis after @{match[1]} is not closed")
    return sql


def placeholders(sql: str) -> dict[str, str]:
    """The parameters in ``sql``, each with its type."""
    return dict(_PLACEHOLDER.findall(sql))


def values(query: Query, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each of a query's parameters: the given one, or the default.

    :raises ParameterError: one is missing, or a given one is not a parameter of the query.
    """
    known = [parameter.name for parameter in query.parameters]
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ParameterError(f"{query.name} has no parameter {', '.join(unknown)}: {takes}")
    missing = [each.name for each in query.parameters if each.name not in given and each.default is None]
    if missing:
        raise ParameterError(f"{query.name} needs {', '.join(missing)}: {takes}")
    return {each.name: given.get(each.name, each.default) for each in query.parameters}


def values_in(sql: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values for a statement's own parameters.

    :raises ParameterError: the statement does not use one. ClickHouse ignores it, and an answer about all runs would pass for one about a run.
    """
    known = placeholders(sql)
    unused = [name for name in given if name not in known]
    if unused:
        raise ParameterError(
            f"the SQL does not use {', '.join(unused)}: write {{{unused[0]}:Type}} where its value belongs"
        )
    return dict(given)


def ask(client: Client, name: str, /, **given: Any) -> list[dict[str, Any]]:
    """The rows of a named query, each as a dict.

    :param given: the query's parameters; ``run_id`` must be a full run id here, or ``latest``.
    :raises UnknownQueryError: there is no query with that name.
    :raises ParameterError: a parameter is missing or unknown.
    """
    return list(_answer(client, name, given).named_results())


def columns(client: Client, name: str, /, **given: Any) -> dict[str, Sequence[Any]]:
    """The same by column, which takes a fraction of the memory of many rows; none where there is no row. Times are milliseconds since
    1970: of 100,000 rows, objects for them took half of the time."""
    answer = _answer(client, name, given, {"DateTime64": "int"})
    return dict(zip(answer.column_names, answer.result_columns, strict=True)) if answer.row_count else {}


def _answer(client: Client, name: str, given: Mapping[str, Any], formats: dict[str, str] | None = None) -> QueryResult:
    query = load(name)
    parameters = values(query, given)
    if parameters.get("run_id") == LATEST:
        newest = ask(client, "matching_runs", run=LATEST, limit=1)
        parameters["run_id"] = newest[0]["run_id"] if newest else ""
    return client.query(query.sql, parameters=parameters, tz_mode="aware", query_formats=formats)
