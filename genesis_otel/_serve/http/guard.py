"""What a client of the store process may run: one statement, parsed by the engine, that stays inside the store.

In: the bytes of a request. Out: a `Statement`, or `RefusedError` with ClickHouse's own code and name. Promise: nothing that
this module lets through reads or writes files, opens connections, runs programs or stops the engine.

How, and why: chDB has one user with all rights, its ``default`` database shows the files of the working directory as
tables, and it runs several statements in one call; grants would mean giving up that database. So the engine
itself parses the text: ``formatQuery`` takes it as a *value* and refuses anything but a single statement, then ``EXPLAIN
AST`` of it, with parameters filled in, lists every node of the tree, where comments, quoting, views, subqueries and
expressions cannot hide a name. Nodes are checked against allow-lists built from the engine's own tables of functions and
engines, so that what a newer engine adds is refused until it is listed here. The tree leaves out some expressions (``APPLY``, ``SHOW ...
WHERE``, texts that contain SQL): these are judged by the formatted text, or refused. Read-only mode is left to the engine.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from threading import Lock

Ask = Callable[[str, Mapping[str, str]], str]
"""Runs one of our own statements with parameters and returns its raw text."""


class RefusedError(Exception):
    """A request that is refused, with the code and name that ClickHouse gives such an error."""

    def __init__(self, code: int, name: str, reason: str) -> None:
        """Keep the code and the name, and a message in ClickHouse's form."""
        super().__init__(f"Code: {code}. DB::Exception: {reason} ({name})")
        self.code = code
        self.name = name


def denied(reason: str) -> RefusedError:
    """ACCESS_DENIED: for what would reach outside the store."""
    return RefusedError(497, "ACCESS_DENIED", f"{reason} The store of genesis-otel does not let its clients do that.")


def unsupported(reason: str) -> RefusedError:
    """NOT_IMPLEMENTED: for what this server lacks, and will still lack when the client retries."""
    return RefusedError(48, "NOT_IMPLEMENTED", reason)


@dataclass(frozen=True)
class Statement:
    """A statement that may run."""

    kind: str
    """The root of its tree, in the engine's terms."""
    text: str
    """What the engine gets. For an insert with data: the part before ``FORMAT``."""
    streams: bool = False
    """A SELECT: the only kind of statement that the engine can answer block by block."""
    returns_rows: bool = False
    format: str = ""
    """The format named in the statement; for an insert, that of its data."""
    takes_data: bool = False
    """An insert whose rows follow as data."""
    columns: str = ""
    """For a SELECT: the statement that names its result's columns."""

    @property
    def reads_only(self) -> bool:
        """Whether its kind changes nothing that outlives the session."""
        return bool(READS_ONLY.fullmatch(self.kind))


# These two list the names that are harmless; every other name that the engine knows is refused.
TABLE_FUNCTIONS = re.compile(
    "format|generate_?series|generaterandom|merge|null|numbers(_mt)?|primes|(sqlstandard)?values"
    "|view|viewexplain|zeros(_mt)?"
)
ENGINES = re.compile(
    r"\w*mergetree|atomic|generaterandom|join|log|materializedview|memory|merge|null|set|stripelog|tinylog|view"
)
# Scalar functions that reach outside the engine: `file` reads any file that the user can, `ai...` call a model provider, and the
# last four take the name of a table or dictionary, which may be a path, as text.
FUNCTIONS_OUTSIDE = re.compile(
    r"file|ai[a-z]\w*|catboostEvaluate|evalMLMethod|hasColumnInTable|joinGet\w*|dict\w+|naiveBayesClassifier\w*",
    re.IGNORECASE,
)
STATEMENTS = re.compile(
    r"Select\w*Query|InsertQuery|CreateQuery|AlterQuery|DeleteQuery|DropQuery|TruncateQuery|OptimizeQuery|Rename|UndropQuery|UseQuery"
    r"|Set|Show\w*|Describe\w*|Exists\w*|Explain|CheckQuery|KillQueryQuery"
)
ROWS = re.compile(r"Select\w*Query|Show\w*|Describe\w*|Exists\w*|Explain|CheckQuery")
# The engine lets a read-only client kill queries, which belong to everybody here.
ENDS_QUERIES = "KillQueryQuery"
WRITES = re.compile(r"InsertQuery|CreateQuery|AlterQuery|DeleteQuery|OptimizeQuery|Rename|UndropQuery")
"""What makes the engine write files, and needs room for them; what drops or empties a table makes room."""
READS_ONLY = re.compile(rf"{ROWS.pattern}|Set|UseQuery")
# Settings that name files or servers, contain expressions or table names as text, or change how a statement is parsed.
SETTINGS_OUTSIDE = re.compile(
    r"additional_\w+|dialect|format_(?:schema|template|avro_schema)\w*|output_format_schema|implicit_\w+|ast_fuzzer\w*|promql\w*"
    r"|disk|table_disk|allow_(?:introspection|fuzz_query)_functions|allow_settings_after_format_in_insert|profile|role|s3\w*"
    r"|input_format_values_(?:interpret_expressions|deduce_templates_of_expressions)",
    re.IGNORECASE,
)
# Of the settings whose value is text, these are harmless; every other one that the engine knows is refused: it may name a file, a server or a
# table, contain an expression (`select`, `filter`), or replace the format.
TEXT_SETTINGS = re.compile(
    r"(?:ignore|force)_data_skipping_indices|exclude_materialize_skip_indexes_on_insert|(?:force_optimize|preferred_optimize)_projection_name"
    r"|count_distinct_implementation|network_compression_method|temporary_files_codec|(?:local|remote)_filesystem_read_method|compatibility"
    r"|log_comment|query_cache_tag|send_logs_source_regexp|workload|insert_deduplication_token|http_response_headers"
    r"|input_format_(?:orc_reader_time_zone_name|mysql_dump_table_name)|column_names_for_schema_inference|bool_(?:true|false)_representation"
    r"|format_(?:(?:csv|tsv)_null_representation|custom_\w+|regexp|json_object_each_row_column_for_object_name)|errors_output_format"
    r"|output_format_(?:pretty_grid_charset|avro_codec|avro_string_column_pattern|orc_writer_time_zone_name|sql_insert_table_name)"
)
# Table functions that take a structure as text, whose columns may have expressions. `format` is a scalar function, too.
STRUCTURED = re.compile("format|generaterandom|null|values", re.IGNORECASE)
FORMATS_OUTSIDE = re.compile(r"template\w*|protobuf\w*|capnproto|avroconfluent|dwarf", re.IGNORECASE)
# The embedded database takes a table's name as a path: these lead out of the (empty) working directory, `..` perhaps in pieces (`.{.}/x`).
PATHS = re.compile(r"(?:^|\.)/|\.\./|://|/.*\{|\{.*/", re.DOTALL)

_EXPRESSION = re.compile("default|alias|materialized|ephemeral", re.IGNORECASE)
_NODE = re.compile(r"^( *)(\w+)(?: +(.*))?$", re.MULTILINE)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL)
_FORMAT = re.compile(r"\s+FORMAT (\w+)(?=\s*(?:\nSETTINGS [^\n]*)?\s*\Z)")
_IDENTIFIER = re.compile(r"\{(\w+):\s*Identifier\}")
_WORD = re.compile(r"\w+")
_ASSIGNED = re.compile(r"\b(\w+)\s*=")
# One token of an insert's head: comment, quoted text or name, word, any other character.
_TOKEN = re.compile(
    r"--[^\n]*|#!?[ !][^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|\w+|\s+|.",
    re.DOTALL,
)
_END_OF_HEAD = re.compile(r"[ \t]*;?[ \t]*(?:\r?\n)?")
HEAD_BYTES = 1 << 20
"""Maximum head of an insert: the start of its data is searched for within this many bytes."""
REMEMBERED = 64
"""Statements whose judgement is remembered: those of every command, page and panel that asks again and again."""
REMEMBERED_CHARACTERS = 64 << 10
"""Longest statement, with its parameters, that is remembered: together at most 4 million characters."""


class Guard:
    """Decides which statements may run, by the names that this engine knows."""

    def __init__(self, ask: Ask) -> None:
        """Learn the engine's names of table functions and of engines."""
        self._refused = {name for name in _names(ask, "table_functions") if not TABLE_FUNCTIONS.fullmatch(name)}
        for table in ("table_engines", "database_engines"):
            self._refused |= {name for name in _names(ask, table) if not ENGINES.fullmatch(name)}
        self._functions = {name for name in _names(ask, "functions") if self._is_outside(name)}
        texts = ask("SELECT name FROM system.settings WHERE type IN ('String', 'Map')", {}).split()
        self._refused_settings = {name for name in texts if not TEXT_SETTINGS.fullmatch(name)}
        # `SETTINGS name` alone turns a setting on. The names without an underscore are words of any statement, and nothing to turn on.
        names = ask("SELECT name FROM system.settings WHERE position(name, '_') > 0", {}).split()
        self._switches = {name for name in names if name in self._refused_settings or SETTINGS_OUTSIDE.fullmatch(name)}
        self._allowed: dict[tuple[str, frozenset[tuple[str, str]]], Statement] = {}
        self._lock = Lock()

    def check(self, text: str, parameters: Mapping[str, str], ask: Ask) -> Statement:
        """The statement, if it may run; raises `RefusedError`, or the engine's own error if it cannot be parsed.

        The judgement depends on nothing but the text and the parameters, both in full: what is allowed once is allowed again without
        asking, since parsing a named query twice takes the engine an eighth of the time that it takes to answer it.
        """
        asked = (text, frozenset(parameters.items()))
        with self._lock:
            if (known := self._allowed.pop(asked, None)) is not None:
                self._allowed[asked] = known  # now the one asked for most recently
                return known
        statement = self._judged(text, parameters, ask)
        if len(text) + sum(len(name) + len(value) for name, value in asked[1]) <= REMEMBERED_CHARACTERS:
            with self._lock:
                self._allowed[asked] = statement
                if len(self._allowed) > REMEMBERED:
                    del self._allowed[next(iter(self._allowed))]
        return statement

    def check_settings(self, names: Iterable[str]) -> None:
        """Refuse settings that reach outside the store or change how statements are parsed."""
        for name in names:
            if name in self._refused_settings or SETTINGS_OUTSIDE.fullmatch(name):
                raise denied(f"The setting '{name}' reaches outside the store or changes how statements are read.")

    def _judged(self, text: str, parameters: Mapping[str, str], ask: Ask) -> Statement:
        # The engine reads parameters like TSV fields: escaped.
        canonical = ask("SELECT formatQuery({query:String})", {"query": _escaped(text)}).removesuffix("\n")
        bare = _TEXT.sub("''", canonical)
        if re.search(r"\bINTO OUTFILE\b|\bFROM INFILE\b", bare):
            raise denied("INTO OUTFILE and FROM INFILE access files.")
        settings = re.search(r"(?:\bSETTINGS?|\ASET)\b.*", bare, re.DOTALL)
        if settings:
            self.check_settings(
                [*_ASSIGNED.findall(settings[0]), *self._switches.intersection(_WORD.findall(settings[0]))]
            )
        tree = [
            (len(spaces), kind, detail)
            for spaces, kind, detail in _NODE.findall(ask(f"EXPLAIN AST {canonical}", parameters))
        ]
        root = tree[0][1]
        if not STATEMENTS.fullmatch(root):
            raise denied(f"A statement of this kind ({canonical.split()[0].upper()}) is not allowed for clients.")
        for index, (_, kind, detail) in enumerate(tree):
            self._check_node(kind, detail)
            _check_structure(tree, index)
            self._check_argument(tree, index)
        self._check_hidden(canonical, bare, parameters, tree)
        _check_names(canonical, bare, parameters, root)
        found = _FORMAT.search(bare)
        name = found[1] if found else ""
        check_format(name)
        bare_text = _FORMAT.sub("", canonical) if found else canonical
        if root == "InsertQuery":
            takes_data = bool(found) and not any(kind.startswith("Select") for _, kind, _ in tree)
            return Statement(root, bare_text if takes_data else text, format=name, takes_data=takes_data)
        selects = root.startswith("Select")
        columns = f"DESCRIBE ({bare_text})" if selects else ""
        return Statement(root, text, selects, bool(ROWS.fullmatch(root)), name, columns=columns)

    def _check_node(self, kind: str, detail: str) -> None:
        name = detail.split(" (alias ")[0].split(" (children ")[0].strip()  # of a function; a table may be called so
        if kind in ("Function", "FunctionWithKeyValueArguments") and (kind != "Function" or self._is_outside(name)):
            raise denied(f"'{name}' reaches outside the store.")
        if kind in ("TableIdentifier", "Identifier") and PATHS.search(detail):
            raise denied("A table named by a path is a file.")

    def _is_outside(self, name: str) -> bool:
        return name.lower() in self._refused or FUNCTIONS_OUTSIDE.fullmatch(name) is not None

    def _check_argument(self, tree: list[tuple[int, str, str]], index: int) -> None:
        """Refuse the name of a function as an argument, as in ``arrayMap(file, ...)``; a column of that name needs its table's before it."""
        depth, kind, detail = tree[index]
        if kind == "Identifier" and detail.lower() in self._functions and _above(tree, index, depth - 2) == "Function":
            raise denied(f"'{detail}' reaches outside the store.")

    def _check_hidden(
        self, canonical: str, bare: str, parameters: Mapping[str, str], tree: list[tuple[int, str, str]]
    ) -> None:
        """Refuse what the tree does not show: the functions of ``APPLY``, of ``SHOW ... WHERE`` and of a TTL's ``SET``."""
        plain = _TEXT.sub(lambda text: text[0][1:-1] if re.fullmatch(r"`\w+`", text[0]) else "''", canonical)
        root = tree[0][1]
        names = re.findall(r"(\w+)\(", plain)
        if any(kind == "ColumnsApplyTransformer" for _, kind, _ in tree):
            if "->" in plain or re.search(r"\bAPPLY (?:\((?!\w+, )|\w+\([^)]*[a-zA-Z(`])", plain):
                raise denied("APPLY takes the name of a function here, with numbers at most, and no expression.")
            names += re.findall(r"\bAPPLY \(?(\w+)", plain)
        if root.startswith("Show") or re.search(r"\bTTL\b.*\bSET\b", bare, re.DOTALL):
            names += self._functions.intersection(_WORD.findall(" ".join((plain, *parameters.values())).lower()))
            if root.startswith("Show") and re.search(r"\bSELECT\b", bare):
                raise denied("SHOW takes no subquery here.")
        for name in names:
            if self._is_outside(name):
                raise denied(f"'{name}' reaches outside the store.")


def _above(tree: list[tuple[int, str, str]], index: int, depth: int) -> str:
    """The kind of the node at ``depth`` that contains this one; empty if there is none."""
    return next((kind for level, kind, _ in reversed(tree[:index]) if level == depth), "")


def _check_structure(tree: list[tuple[int, str, str]], index: int) -> None:
    """Refuse the structure of a table function if its columns have expressions, or if it could only be seen by evaluating it."""
    depth, kind, detail = tree[index]
    name = detail.partition(" ")[0].lower()
    if kind != "Function" or not STRUCTURED.fullmatch(name):
        return
    if name == "format" and _above(tree, index, depth - 1) not in ("TableExpression", "InsertQuery", "CreateQuery"):
        return
    inside = takewhile(lambda each: each[0] > depth, tree[index + 1 :])
    arguments = [(kind, detail) for level, kind, detail in inside if level == depth + 2]
    given = {"format": slice(-1), "values": slice(1)}.get(name, slice(None))
    for kind, detail in arguments[given]:
        if _EXPRESSION.search(detail) or (kind not in ("Literal", "Identifier") and name != "values"):
            raise denied("The structure of a table function must be a text without expressions.")


def _check_names(canonical: str, bare: str, parameters: Mapping[str, str], root: str) -> None:
    """Refuse paths among the names that the tree leaves out, such as a materialized view's target, and names that the tree cuts off."""
    names = [text[0][1:-1] for text in _TEXT.finditer(canonical) if text[0][0] == "`"]
    names += [parameters.get(name, "") for name in _IDENTIFIER.findall(bare)]
    for name in names:
        # The tree shows only the first line of a name with a line break, which the formatted statement and parameters escape.
        is_cut = "\n" in name or "\\" in name
        # Otherwise the tree of a SELECT leaves no name out, and a column may have any name.
        if is_cut and re.search("[/(]", name) if root.startswith("Select") else is_cut or PATHS.search(name):
            raise denied("A table named by a path is a file.")


def check_format(name: str) -> None:
    """Refuse formats that read files or contact servers."""
    if FORMATS_OUTSIDE.fullmatch(name):
        raise denied(f"The format '{name}' reads its schema from outside the store.")


def split_data(body: bytes | bytearray, query: bytes = b"") -> tuple[bytes, bytes | memoryview]:
    """The statement of a request, and for an insert the data after its ``FORMAT name`` or ``VALUES``.

    A statement in the URL comes before the body. The data is a view of the body: a copy of it would be thousands of new pages.
    """
    before = query + b"\n" if query and body else query
    head = (before + body[:HEAD_BYTES]).decode(errors="surrogateescape")
    cut = _cut(head)
    if cut is None:
        return before + body, b""
    end, start = (len(head[:at].encode(errors="surrogateescape")) for at in cut)
    statement = (before + body[: max(0, end - len(before))])[:end]
    if start < len(before):  # the data begins in the URL
        return statement, before[start:] + body
    return statement, memoryview(body)[start - len(before) :]


def _cut(head: str) -> tuple[int, int] | None:
    """Where the statement of an insert with data ends, and where its data begins."""
    depth = 0
    words: list[str] = []
    for token in _TOKEN.finditer(head):
        first = token[0][0]
        if first in "()":
            depth += 1 if first == "(" else -1
        if depth or not (first.isalnum() or first in '_`"'):
            continue
        words.append(token[0].upper())
        if words[0] != "INSERT" or words[-1] in ("SELECT", "WITH"):
            break
        if len(words) < 4:  # INSERT INTO name: a table may have any name
            continue
        if words[-1] == "VALUES":
            return token.end(), token.end()
        if words[-2] == "FORMAT":
            rest = _END_OF_HEAD.match(head, token.end())
            return token.end(), rest.end() if rest else token.end()
    return None


def _names(ask: Ask, table: str) -> set[str]:
    return set(ask(f"SELECT lower(name) FROM system.{table}", {}).split())  # noqa: S608 (tables of our own)


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )
