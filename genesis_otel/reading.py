"""Runs in a program or a notebook: named queries as rows, Arrow, pandas or polars; a run and its individuals as objects.

In: the settings of the environment, or a URL; the name of a query, or SQL that reads. Out: rows as dicts, or as tables of an installed
library. The embedded store is read through its process, even while searches use it. On failure: StoreError if the store cannot be
reached, LookupError if there is no such run, individual or query, ImportError if a package is missing, with what to install; what
ClickHouse raises is passed on. Nothing here can write.

>>> import genesis_otel
>>> store = genesis_otel.connect()  # doctest: +SKIP
>>> store.query("llm_latency", run="latest").pandas()  # doctest: +SKIP
>>> print(store.run("circle_packing").best.code)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import html
import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from genesis_otel import queries
from genesis_otel._destinations import ANSWER_TIMEOUT
from genesis_otel._log import CLIENT_LOG, quiet
from genesis_otel._money import money
from genesis_otel._read import health, parquet, program
from genesis_otel._read.client import described, individual_id_of, reader, run_id_of
from genesis_otel._read.format import counted, number, visible
from genesis_otel._settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from clickhouse_connect.driver.client import Client

__all__ = ["Answer", "Individual", "Run", "Store", "connect"]

SHOWN = 30
"""Rows of an answer that a notebook shows."""
CELL = 100
"""Characters of a value that it shows: programs and prompts are longer."""

_DATE_TIME = re.compile(r"(?:LowCardinality\()?(?:Nullable\()?DateTime(?:\('([^']+)'\))?\)*")
"""ClickHouse's type of times in whole seconds, with the time zone if it has one."""


def connect(url: str | None = None) -> Store:
    """The configured store, for reading.

    :param url: another store, as in ``CLICKHOUSE_URL``: ``http(s)://user:password@host:port/database`` or ``chdb:///folder``.
    :raises StoreError: the store cannot be reached, or none is configured.
    """
    given: dict[str, Any] = {"clickhouse_url": url} if url else {}
    store = Store(load_settings(**given))
    with quiet(CLIENT_LOG), reader(store._settings):
        return store


class Store:
    """A store. Each query has its own client, so that a store can be kept for as long as a notebook is open, and used by many threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def query(self, query: str, /, *, run: str | None = None, **parameters: Any) -> Answer:
        """Run a named query, or SQL that reads; the answer is fetched when it is first used.

        :param query: a name (``genesis-otel query --list``), or a statement; its parameters are written ``{name:Type}``.
        :param run: a run's id, a prefix of it, ``latest``, or a task, meaning its newest run: the same as ``run_id``.
        :raises LookupError: there is no such query or run.
        :raises ValueError: a parameter is missing or unknown, or the statement does not use it; the prefix matches several runs, or the statement is empty.
        """
        sql, given = self._asked(query, parameters if run is None else {**parameters, "run_id": run})
        if run is not None or given.get("run_id"):
            with reader(self._settings) as client:
                given["run_id"] = run_id_of(client, str(given["run_id"]))
        return Answer(self._settings, sql, given)

    def runs(self, **parameters: Any) -> Answer:
        """The runs, newest first: the named query ``runs``, with its parameters."""
        return self.query("runs", **parameters)

    def run(self, run: str = queries.LATEST) -> Run:
        """A run, by its id, a prefix of it, ``latest``, or a task, meaning its newest run.

        :raises LookupError: there is no such run.
        """
        with reader(self._settings) as client:
            run_id = run_id_of(client, run)
            return Run(self, health.begun(client, run_id, self._settings.stalled_after))

    def _asked(self, query: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The statement of a query, and its parameters with their defaults."""
        if not query.strip():
            raise ValueError("the query is empty: give a query's name, or SQL")
        if not query.strip().replace("_", "").replace("-", "").isalnum():
            return query, queries.values_in(query, given)
        named = queries.load(query)
        values = queries.values(named, given)
        if "alive" in values:
            with reader(self._settings) as client:
                values |= health.known(client, named, given, self._settings.stalled_after)
        return named.sql, values

    def __repr__(self) -> str:
        return f"<Store {self._settings.store}>"


class Answer(Sequence[Mapping[str, Any]]):
    """The rows of a query, each as a dict; in a notebook, a table."""

    def __init__(self, settings: Settings, sql: str, parameters: Mapping[str, Any]) -> None:
        self._settings, self.sql, self.parameters = settings, sql, dict(parameters)
        self._fetched: list[list[dict[str, Any]]] = []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, fetched once; times are time zone aware."""
        # Not a cached_property: up to Python 3.11 it has one lock for all answers. A long query held up those of all other threads, and a
        # process that was forked meanwhile waited forever.
        if not self._fetched:
            with _reading(self._settings) as client:
                answer = client.query(self.sql, parameters=self.parameters, tz_mode="aware")
                self._fetched.append(list(answer.named_results()))
        return self._fetched[0]

    def arrow(self) -> pyarrow.Table:
        """As an Arrow table, which the engine itself produces; needs pyarrow."""
        _needed("pyarrow")
        with _reading(self._settings) as client:
            table = client.query_arrow(self.sql, parameters=self.parameters, use_strings=True)
            return self._timed(client, table)

    def _timed(self, client: Client, table: pyarrow.Table) -> pyarrow.Table:
        """The table with times where the engine writes a DateTime as a number: the seconds since 1970."""
        import pyarrow

        numbers = [at for at, field in enumerate(table.schema) if field.type == pyarrow.uint32()]
        types = described(client, self.sql, self.parameters) if numbers else []
        for at in numbers[: len(types)]:
            name, kind = types[at]
            if found := _DATE_TIME.fullmatch(kind):
                seconds = pyarrow.timestamp("s", found[1] or str(client.server_tz))
                table = table.set_column(at, name, table.column(at).cast(pyarrow.int64()).cast(seconds))
        return table

    def pandas(self) -> pandas.DataFrame:
        """As a pandas data frame; needs pandas and pyarrow."""
        _needed("pandas")
        frame: pandas.DataFrame = self.arrow().to_pandas()
        return frame

    def polars(self) -> polars.DataFrame:
        """As a polars data frame; needs polars and pyarrow."""
        frame: polars.DataFrame = _needed("polars").from_arrow(self.arrow())
        return frame

    def parquet(self, path: str | Path) -> Path:
        """Write a new Parquet file, which the engine itself produces: needs no package here, and works for any number of rows.

        :raises FileExistsError: the file already exists.
        """
        with _reading(self._settings) as client:
            parquet.write(client, self.sql, self.parameters, Path(path))
        return Path(path)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self.rows[index]

    def __repr__(self) -> str:
        rows = counted(len(self.rows), "row")
        return visible(f"<Answer: {rows} of {', '.join(self.rows[0])}>") if self.rows else f"<Answer: {rows}>"

    def _repr_html_(self) -> str:
        return _table(list(self.rows[0]) if self.rows else [], [row.values() for row in self.rows])


class Run:
    """A run, as it stood when it was fetched; ``summary`` has everything known about it."""

    def __init__(self, store: Store, summary: Mapping[str, Any]) -> None:
        self._store = store
        self.id = str(summary["run_id"])
        self.task = str(summary["task_name"])
        self.status = str(summary["status"])
        self.best_score: float | None = summary["best_score"]
        self.cost = float(summary["cost"])
        self.unpriced = int(summary["unpriced"])
        """The number of calls without a known price, which ``cost`` does not include."""
        self.summary = dict(summary)

    @property
    def best(self) -> Individual:
        """The best individual, by the run's direction.

        :raises LookupError: the run has none yet.
        """
        # Not by its name, which an individual may have as its id.
        return self.individual("")

    def individual(self, individual: str) -> Individual:
        """An individual, by its id, a prefix of it, or ``best``.

        :raises LookupError: there is no such individual.
        """
        with reader(self._store._settings) as client:
            return Individual(program.individual(client, self.id, individual_id_of(client, self.id, individual)))

    def query(self, query: str, /, **parameters: Any) -> Answer:
        """Run a named query, or SQL with ``{run_id:String}``, on this run.

        :raises ValueError: the SQL lacks ``{run_id:String}``, so that its answer would be about all runs; or as for :meth:`Store.query`.
        """
        return Answer(self._store._settings, *self._store._asked(query, {**parameters, "run_id": self.id}))

    def __repr__(self) -> str:
        best = number(self.best_score) or "unknown"
        return visible(f"<Run {self.id}: {self.task}, {self.status}, best {best}, {money(self.cost, self.unpriced)}>")

    def _repr_html_(self) -> str:
        return _table(["", self.id], [(name, value) for name, value in self.summary.items() if name != "run_id"])


class Individual:
    """An individual, as it stood when it was fetched; ``details`` has everything known about it."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        self.id = str(details["individual_id"])
        self.run_id = str(details["run_id"])
        self.generation = int(details["generation"])
        self.fitness: float | None = details["fitness_score"]
        self.code = str(details["code"])
        """Its program; empty if it was not recorded."""
        self.metrics = dict(program.metrics_of(details["metrics"]))
        self.parents = [str(each) for each in details["parent_ids"]]
        self.details = dict(details)

    def __repr__(self) -> str:
        return visible(
            f"<Individual {self.id}: generation {self.generation}, fitness {number(self.fitness) or 'unknown'}>"
        )

    def _repr_html_(self) -> str:
        facts = [(name, value) for name, value in self.details.items() if name not in ("individual_id", "code")]
        code = f"<pre>{html.escape(visible(self.code, keep=chr(10) + chr(9)))}</pre>" if self.code else ""
        return _table(["", self.id], facts) + code


def _reading(settings: Settings) -> contextlib.AbstractContextManager[Client]:
    """A reader for a statement that somebody wrote, which may take long."""
    return reader(settings, answer_timeout=ANSWER_TIMEOUT)


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{package} is not installed: pip install {package}") from error


def _table(names: Sequence[str], rows: Sequence[Iterable[Any]]) -> str:
    """An HTML table whose cells are plain text, whatever they contain."""

    def cell(value: Any) -> str:
        shown = number(value) if isinstance(value, float) else "" if value is None else str(value)
        return html.escape(visible(shown if len(shown) <= CELL else f"{shown[:CELL]}…"))

    head = "".join(f"<th>{cell(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell(value)}</td>' for value in row)}</tr>" for row in rows[:SHOWN])
    more = f"<p>{counted(len(rows) - SHOWN, 'more row')}</p>" if len(rows) > SHOWN else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
