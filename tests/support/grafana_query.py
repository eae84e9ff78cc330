"""The SQL of a panel as ClickHouse receives it from Grafana and its ClickHouse data source: for tests and benchmarks.

In: SQL of a target, values of variables, a time range. Out: the SQL that is sent. On failure: `ValueError` for a
variable or a macro without a value.

In the browser, variables (https://grafana.com/docs/grafana/latest/visualizations/dashboards/variables/variable-syntax,
formats `percentencode`) and ``$__conditionalAll`` (clickhouse-datasource src/data/CHDatasource.ts) are expanded; then,
in the backend, the macros (clickhouse-datasource pkg/macros/macros.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

ALL = ("$__all",)
"""The value of a variable of which *All* is selected."""

Value = str | tuple[str, ...]

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)")


class TimeRange(NamedTuple):
    """The time picker's range, and the step for a panel's width."""

    start: datetime
    end: datetime
    step: int
    """Seconds."""


def sent(sql: str, values: Mapping[str, Value], times: TimeRange, everything: Mapping[str, tuple[str, ...]]) -> str:
    """The SQL that reaches ClickHouse.

    :param values: of each variable; several values as a tuple, `ALL` for all of them.
    :param everything: what `ALL` stands for, by variable.
    """
    asked = _conditional(sql, values)
    chosen = {name: everything.get(name, ()) if value == ALL else value for name, value in values.items()}
    asked = _VARIABLE.sub(lambda found: _formatted(found, chosen), asked)
    asked = _macros(asked, times)
    if left := re.search(r"\$__\w+|\$\{", asked):
        raise ValueError(f"nobody fills in {left[0]}")
    return asked


def percent_encoded(value: Value) -> str:
    """The format ``percentencode`` (grafana-scenes, formatRegistry): several values as ``{one,two}``, then encoded."""
    return quote("{" + ",".join(value) + "}" if isinstance(value, tuple) else value, safe="-_.~")


def _formatted(found: re.Match[str], values: Mapping[str, Value]) -> str:
    name, form = found[1] or found[3], found[2]
    if name not in values:
        raise ValueError(f"there is no variable {name}")
    if form == "percentencode":
        return percent_encoded(values[name])
    # Without a format nothing is quoted, and sqlstring leaves backslashes, which ClickHouse interprets.
    raise ValueError(f"${name} with the format {form}: only percentencode is safe in SQL")


def _conditional(sql: str, values: Mapping[str, Value]) -> str:
    """``$__conditionalAll(condition, $variable)``: the condition, or ``1=1`` if *All* is selected."""
    macro = "$__conditionalAll"
    left = sql.count(macro)
    while (at := sql.rfind(macro + "(")) >= 0:
        arguments, end = _arguments(sql, at + len(macro))
        condition, variable = arguments
        chosen = values[variable.strip().lstrip("$")]
        sql = _replaced(sql, at, end, "1=1" if chosen in (ALL, "", ()) else condition)
        if (now := sql.count(macro)) >= left:
            raise ValueError(
                "a condition of $__conditionalAll brings the macro back: the browser would expand it for ever"
            )
        left = now
    return sql


def _replaced(sql: str, start: int, end: int, text: str) -> str:
    """Like JavaScript's ``String.replace`` with a text: ``$$``, ``$&``, ``$` `` and ``$'`` in it are special.

    https://developer.mozilla.org/en-US/docs/Web/JavaScript/Reference/Global_Objects/String/replace
    """
    meant = {"$": "$", "&": sql[start:end], "`": sql[:start], "'": sql[end:]}
    return sql[:start] + re.sub(r"\$([$&`'])", lambda found: meant[found[1]], text) + sql[end:]


def _macros(sql: str, times: TimeRange) -> str:
    start, end = (f"toDateTime({int(each.timestamp())})" for each in (times.start, times.end))
    made = {
        "timeFilter": f"{{0}} >= {start} AND {{0}} <= {end}",
        "timeInterval": f"toStartOfInterval(toDateTime({{0}}), INTERVAL {times.step} second)",
    }
    for name, text in made.items():
        while (at := sql.rfind(f"$__{name}(")) >= 0:
            (argument,), after = _arguments(sql, at + len(name) + 3)
            sql = sql[:at] + text.format(argument.strip()) + sql[after:]
    for name, text in (("fromTime", start), ("toTime", end), ("interval_s", str(times.step))):
        sql = re.sub(rf"\$__{name}\b", text, sql)
    return sql


def _arguments(sql: str, at: int) -> tuple[list[str], int]:
    """The arguments within the parenthesis at ``at``, and the position of its end."""
    depth, begun, found = 0, at + 1, []
    for position in range(at, len(sql)):
        sign = sql[position]
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 1:
            found.append(sql[begun:position])
            begun = position + 1
        if depth == 0:
            return [*found, sql[begun:position]], position + 1
    raise ValueError("a macro's parenthesis does not end")
