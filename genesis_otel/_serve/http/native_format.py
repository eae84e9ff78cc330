"""Converts blocks of ClickHouse's ``Native`` format to a client's protocol revision.

In: what the engine writes, which is revision 0. Out: the same blocks at the revision that the client names: from 1 on a
`BlockInfo` before each block, from 54454 on a byte after each column's type that says that its serialization is the default one,
and the time zone in the type of a `DateTime`. Values are unchanged, byte for byte; but to insert a byte between two columns,
one must know where the first one ends, so the types tell how long they are.

On failure: `RefusedError` (48) for a type whose length only its own code can tell: ``Dynamic``, ``Variant``, ``AggregateFunction``.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from genesis_otel._serve.http.guard import unsupported
from genesis_otel._ship.encoding.varint import read_varint, varint

LOWEST = 54405
"""Lowest revision besides 0: from here on LowCardinality columns are sent as such, and the engine writes nothing else."""
CUSTOM_SERIALIZATION = 54454
BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Field 1: not an overflow block; field 2: no aggregation bucket; no more fields."""

_SIZES = {
    1: "UInt8 Int8 Bool Enum8 Nothing",
    2: "UInt16 Int16 BFloat16 Enum16 Date",
    4: "UInt32 Int32 Float32 Decimal32 Date32 DateTime Time IPv4",
    8: "UInt64 Int64 Float64 Decimal64 DateTime64 Time64 IntervalNanosecond IntervalMicrosecond IntervalMillisecond "
    "IntervalSecond IntervalMinute IntervalHour IntervalDay IntervalWeek IntervalMonth IntervalQuarter IntervalYear",
    16: "UInt128 Int128 Decimal128 UUID IPv6",
    32: "UInt256 Int256 Decimal256",
}
SIZES = {name: size for size, names in _SIZES.items() for name in names.split()}
ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiPoint": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_QBIT = {"BFloat16": 16, "Float32": 32, "Float64": 64}
# One token of a type: quoted text or name, word, any other character.
_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|\w+|\s+|.", re.DOTALL)
_NAME = re.compile(r"(?:`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|\w+)\s+(?=\S)", re.DOTALL)

Skip = Callable[[bytes, int, int], int]
"""Where a column's values end: within these bytes, from this position, for this number of rows."""


class Type(NamedTuple):
    """How long a column of a type is."""

    prefixes: int
    """Parts that write 8 bytes before all values, even inside an empty array."""
    skip: Skip


class Column(NamedTuple):
    """A column's name and type as the client should see them."""

    name: bytes
    type: bytes


def at_revision(blocks: bytes, revision: int, columns: Sequence[Column] = (), *, one: bool = False) -> bytes:
    """Complete blocks of revision 0, converted to ``revision``.

    :param columns: names and types that replace the blocks' own.
    :param one: these bytes are one block, which need not be walked if nothing goes between its columns.
    """
    if revision == 0:
        return blocks
    if one and revision < CUSTOM_SERIALIZATION and not columns:
        return BLOCK_INFO + blocks
    return b"".join(_pieces(blocks, revision, columns))


def header(columns: Sequence[Column], revision: int) -> bytes:
    """A block without rows, which tells a client the columns of an empty result."""
    return at_revision(b"".join([varint(len(columns)), b"\0", *map(_head, columns)]), revision)


def heads(block: bytes) -> list[Column]:
    """Names and types of the first block's columns."""
    return [Column(name, type_) for name, type_, _, _ in _columns(block, 0)[0]]


def _pieces(blocks: bytes, revision: int, columns: Sequence[Column]) -> Iterator[bytes]:
    flag = b"\0" if revision >= CUSTOM_SERIALIZATION else b""
    at = 0
    while at < len(blocks):
        found, rows, at = _columns(blocks, at)
        yield BLOCK_INFO + varint(len(found)) + varint(rows)
        for index, (name, type_, begin, end) in enumerate(found):
            yield _head(columns[index] if columns else Column(name, type_)) + flag
            yield blocks[begin:end]


def _columns(blocks: bytes, at: int) -> tuple[list[tuple[bytes, bytes, int, int]], int, int]:
    """Name, type, start and end of each column of the block at ``at``; its number of rows; where the next block starts."""
    count, at = read_varint(blocks, at)
    rows, at = read_varint(blocks, at)
    found = []
    for _ in range(count):
        name, at = _text(blocks, at)
        type_, at = _text(blocks, at)
        begin = at
        if rows:
            walked = walk(type_.decode())
            at = walked.skip(blocks, at + 8 * walked.prefixes, rows)
        if at > len(blocks):
            raise ValueError("a block ends inside a column")
        found.append((name, type_, begin, at))
    return found, rows, at


@lru_cache(maxsize=1024)
def walk(text: str) -> Type:
    """How long columns of the type ``text`` are."""
    name, arguments = _parsed(text)
    if name in SIZES:
        return Type(0, _fixed(SIZES[name]))
    if name in ALIASES:
        return walk(ALIASES[name])
    if name == "String":
        return Type(0, _strings)
    if name == "FixedString":
        return Type(0, _fixed(int(arguments[0])))
    if name == "Decimal":
        precision = int(arguments[0])
        return Type(0, _fixed(next(size for most, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if precision <= most)))
    if name == "QBit":
        return Type(0, _fixed(_QBIT[arguments[0]] * ((int(arguments[1]) + 7) // 8)))
    if name == "JSON":  # as text, which the engine is told to send; the 8 bytes before it say so
        return Type(1, _strings)
    if name == "Nullable":
        inner = walk(arguments[0])
        return Type(inner.prefixes, lambda data, at, rows: inner.skip(data, at + rows, rows))
    if name == "LowCardinality":
        outer, inner_arguments = _parsed(arguments[0])  # NULL is an entry of the dictionary, not a separate map
        return Type(1, _dictionary(walk(inner_arguments[0] if outer == "Nullable" else arguments[0])))
    if name == "SimpleAggregateFunction":
        return walk(arguments[-1])
    if name == "Array":
        return _array(walk(arguments[0]))
    if name == "Map":
        return _array(_tuple([walk(argument) for argument in arguments]))
    if name == "Tuple":
        return _tuple([walk(_unnamed(argument)) for argument in arguments]) if arguments else Type(0, _fixed(1))
    if name == "Nested":
        return _array(_tuple([walk(_unnamed(argument)) for argument in arguments]))
    raise unsupported(f"A column of the type {name} is not supported at this protocol revision: cast it to String.")


def _fixed(size: int) -> Skip:
    return lambda data, at, rows: at + size * rows


def _strings(data: bytes, at: int, rows: int) -> int:
    for _ in range(rows):
        size = data[at]
        at += 1
        if size > 127:
            size, at = read_varint(data, at - 1)
        at += size
    return at


def _dictionary(values: Type) -> Skip:
    def skip(data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        width, size = struct.unpack_from("<QQ", data, at)
        at = values.skip(data, at + 16, size)
        (keys,) = struct.unpack_from("<Q", data, at)
        return int(at + 8 + keys * (1 << (width & 0xFF)))

    return skip


def _array(inner: Type) -> Type:
    def skip(data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        end = at + 8 * rows
        (values,) = struct.unpack_from("<Q", data, end - 8)
        return inner.skip(data, end, values)

    return Type(inner.prefixes, skip)


def _tuple(elements: Sequence[Type]) -> Type:
    def skip(data: bytes, at: int, rows: int) -> int:
        for element in elements:
            at = element.skip(data, at, rows)
        return at

    return Type(sum(element.prefixes for element in elements), skip)


def _parsed(text: str) -> tuple[str, list[str]]:
    """A type's name and its arguments, separately."""
    name, opened, rest = text.strip().partition("(")
    arguments: list[str] = []
    depth, begin = 0, 0
    inside = rest[:-1] if opened else ""
    for token in _TOKEN.finditer(inside):
        if token[0] in "()":
            depth += 1 if token[0] == "(" else -1
        elif token[0] == "," and not depth:
            arguments.append(inside[begin : token.start()].strip())
            begin = token.end()
    last = inside[begin:].strip()
    return name.strip(), [*arguments, last] if last else arguments


def _unnamed(element: str) -> str:
    """The type of a tuple's element, which may have a name before it."""
    found = _NAME.match(element)
    return element[found.end() :] if found else element


def _head(column: Column) -> bytes:
    return b"".join([varint(len(column.name)), column.name, varint(len(column.type)), column.type])


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    return data[at : at + size], at + size
