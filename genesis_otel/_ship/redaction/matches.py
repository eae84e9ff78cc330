"""Finds the secrets in a text: judges each candidate of the search by its surroundings.

In: a text as UTF-8, with a leading line feed. Out: spans of bytes, in order. On failure: nothing here raises; a text with more
candidates than :func:`most` allows, which only an attack has, gives None. Each judge examines a bounded part of the text.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.patterns import (
    BEHIND_NAME,
    COMMANDS,
    ENCODED,
    IDENTIFIED,
    LEAD,
    LIKELY_NAME,
    LOGINS,
    LOOSE,
    PEM,
    PUTTY,
    SURE_NAME,
    TOKENS,
    TRAILER,
)
from genesis_otel._ship.redaction.scan import candidates
from genesis_otel._ship.redaction.values import JUDGED, LONGEST, Written, is_key, is_random, is_secret_value

Span = tuple[int, int]


class Verdict(NamedTuple):
    """What to replace, and where to resume the search."""

    spans: tuple[Span, ...]
    resume: int


def most(size: int) -> int:
    """The most candidates that a text of this many bytes may hold: five times as many as program sources do, and few enough that
    judging them takes 20 ms per megabyte."""
    return 500 + size // 1600


def spans_of(data: bytes) -> list[Span] | None:
    """The spans of secrets, in order; None if there are too many candidates to judge."""
    spans: list[Span] = []
    search = candidates(data)
    left = most(len(data))
    at = 0
    while True:
        found = search(at)
        if found is None:
            return spans
        left -= 1
        if left < 0:
            return None
        start, end = found
        for judge in _judges(data, start):
            verdict = judge(data, start, end)
            if verdict is not None:
                spans += verdict.spans
                at = max(verdict.resume, start + 1)
                break
        else:
            # Not after the candidate: another one may begin within it.
            word = _WORD.match(data, start)
            at = max(start + 1, word.end() if word else 0)


_WORD = re.compile(rb"[A-Za-z0-9_]*")

Judge = Callable[[bytes, int, int], "Verdict | None"]


def _judges(data: bytes, start: int) -> tuple[Judge, ...]:
    first = data[start]
    if first == 0x3A:  # ://
        return (_of_url, _of_token)
    if first == 0x2D and data.startswith(b"-----BEGIN", start):
        return (_of_private_key,)
    if data[start : start + 1].isalnum():
        return (_of_scheme, _of_name, _of_spaced_name, _of_command, _of_putty)
    return (_of_token, _of_loose_token, _of_encoded, _of_unknown_token, _of_option)


# Compiled only when a text has such a beginning, which few do: the first takes 6 ms, as much as all others together.
@functools.cache
def _a_token() -> re.Pattern[bytes]:
    known = b"|".join(b"(?:" + entry[0] + b")(?:" + entry[1] + b")" for entry in TOKENS)
    return re.compile(LEAD + b"((?:" + known + b"))")


@functools.cache
def _a_loose_one() -> re.Pattern[bytes]:
    return re.compile(LEAD + b"(" + LOOSE + b"[A-Za-z0-9_-]{16,512})")


@functools.cache
def _an_encoded_one() -> re.Pattern[bytes]:
    return re.compile(LEAD + b"((?:" + b"|".join(map(re.escape, ENCODED)) + b")[A-Za-z0-9+/_-]{12,}={0,2})")


_UNKNOWN = re.compile(rb"[_-]([A-Za-z0-9]{20,256})(?![A-Za-z0-9_-])")
_LABEL = re.compile(rb"(?:^|[^A-Za-z0-9/+=.])(\\[nrt])?([A-Za-z][A-Za-z0-9]{0,11}(?:[_-][A-Za-z0-9]{1,10}){0,3})$")


def _of_token(data: bytes, start: int, end: int) -> Verdict | None:
    found = _a_token().match(data, start)
    return None if found is None else Verdict((found.span(1),), found.end())


def _of_loose_token(data: bytes, start: int, end: int) -> Verdict | None:
    found = _a_loose_one().match(data, start)
    if found is None or not is_key(found[1].decode("ascii")):
        return None
    return Verdict((found.span(1),), found.end())


def _of_encoded(data: bytes, start: int, end: int) -> Verdict | None:
    found = _an_encoded_one().match(data, start)
    if found is None:
        return None
    plain = _decoded(found[1][:LONGEST])
    if PEM.match(plain) or (plain.isascii() and spans_of(b"\n" + plain)):
        return Verdict((found.span(1),), found.end())
    return None


def _decoded(text: bytes) -> bytes:
    text = text.rstrip(b"=").translate(_STANDARD)
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


_STANDARD = bytes.maketrans(b"-_", b"+/")

ID_LABELS = frozenset(
    re.findall(
        r"\w+",
        "call toolu srvtoolu msg message chatcmpl cmpl req request resp response run asst file thread step gen batch "
        "vs rs fc ws id ids uuid guid hash sha sha1 sha256 sha384 sha512 md5 digest commit rev tree blob trace span "
        "item conv event evt log node img image chunk block cache build version etag nonce checksum integrity cus pi "
        "ch sub price prod acct org proj user ftjob ft job task model system fp modelcard snapshot session test data",
    )
)
"""What precedes an identifier that is not a secret."""


def _of_unknown_token(data: bytes, start: int, end: int) -> Verdict | None:
    """A prefix of an unlisted provider, followed by something random."""
    found = _UNKNOWN.match(data, start)
    if found is None or data[found.end() : found.end() + 1] == b".":
        return None
    text = found[1].decode("ascii")
    if not is_random(text, 20, strictly=True):
        return None
    label = _LABEL.search(data[max(0, start - 48) : start])
    if label is None:
        return None
    words = re.split(r"[_-]", label[2].decode("ascii").lower())
    if any(word in ID_LABELS or sum(map(str.isdigit, word)) > 2 for word in words):
        return None
    return Verdict(((start - len(label[2]), found.end()),), found.end())


# --- private keys -----------------------------------------------------------------------------------------------------

_KEY_TEXT = re.compile(
    rb"(?:(?:\s|\\+[nr])*(?:Proc-Type|DEK-Info|Version|Comment|Hash)[^\\\n]{0,200})*(?:[A-Za-z0-9+/=\s]+|\\+[nrt])*"
)
_KEY_PIECE = re.compile(rb"(\[REDACTED\]|\\+(?:[nrtbf\"'\\/]|u[0-9A-Fa-f]{4}))|[A-Za-z0-9+/=]{6,}")


def _of_private_key(data: bytes, start: int, end: int) -> Verdict | None:
    head = PEM.match(data, start)
    if head is None:
        return None
    dashes = data.find(b"-----", head.end())
    if dashes < 0 or not data.startswith(b"-----END", dashes):
        body = _KEY_TEXT.match(data, head.end())
        stop = body.end() if body else head.end()
        # Not into the escape that ends the enclosing string.
        return Verdict(((start, stop),), stop)
    closing = data.find(b"-----", dashes + 8, dashes + 96)
    stop = closing + 5 if closing >= 0 else dashes + 8
    if not any(quote in data[start:stop] for quote in (b'"', b"'", b"`")):
        return Verdict(((start, stop),), stop)
    # Line by line in a program or a list: only the lines are removed, not what encloses them.
    pieces = (piece.span() for piece in _KEY_PIECE.finditer(data, head.end(), dashes) if piece[1] is None)
    return Verdict(tuple(pieces), stop)


_PUTTY_KEY = re.compile(PUTTY + rb"\d{1,3}((?:\s|\\+[nr])+(?:[A-Za-z0-9+/=]{4,}(?:\s|\\+[nr])*)+)")


def _of_putty(data: bytes, start: int, end: int) -> Verdict | None:
    found = _PUTTY_KEY.match(data, start)
    return None if found is None else Verdict((found.span(1),), found.end())


# --- URLs -------------------------------------------------------------------------------------------------------------

LONGEST_USER_INFO = 512
_SCHEME = re.compile(rb"""(["'`]?)\b([A-Za-z][A-Za-z0-9+.-]{0,30})$""")
_PLACE = re.compile(rb"""[^\s"<>`\\\0]+""")
_PLACE_IN_QUOTES = re.compile(rb"""[^\s"<>`\\\0']+""")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%{}$<>-]+)")


def _of_url(data: bytes, start: int, end: int) -> Verdict | None:
    """``scheme://user:password@host`` and ``scheme://token@host``; a password may hold ``/``, ``@``, ``?``, ``#`` and ``'``."""
    scheme = _SCHEME.search(data[max(0, start - 32) : start])
    quote = scheme[1] if scheme else b""
    begin = start + 3
    found = (_PLACE_IN_QUOTES if quote == b"'" else _PLACE).match(data, begin, begin + LONGEST_USER_INFO)
    place = found[0] if found else b""
    again = place.find(b"://")
    if again >= 0:
        place = place[:again]
    at = place.rfind(b"@")
    # A host has to follow, and an @ in a path has no user before it.
    while at >= 0 and not _HOST.match(place, at + 1):
        at = place.rfind(b"@", 0, at)
    if at < 0:
        return None
    user, colon, password = place[:at].partition(b":")
    name = scheme[2].lower() if scheme else b""
    if not colon:
        told = user.decode("utf-8", "replace")
        if "/" in told or name in (b"ssh", b"git+ssh") or not is_random(told, 16):
            return None
        return Verdict(((begin, begin + at),), begin + at)
    if (
        b"/" in user
        or user.startswith(b"[")
        or (re.match(rb"\d{1,5}(?:[/?#]|$)", password) and (b"ssh" in name or not password.isdigit()))
    ):
        return None
    written = Written(quoted=True, tight=True, literal=True, alone=False, followed="@")
    if not is_secret_value(password.decode("utf-8", "replace"), Kind.SURE, written):
        password = b""
    if not password and not is_random(user.decode("utf-8", "replace"), 16):
        return None
    spans = ((begin + len(user) + 1, begin + at),)
    if is_random(user.decode("utf-8", "replace"), 16):
        spans = ((begin, begin + at),)
    return Verdict(spans, begin + at)


# --- names ------------------------------------------------------------------------------------------------------------

_NAME = re.compile(
    b"(?P<name>(?:" + SURE_NAME + b"|" + LIKELY_NAME + b")" + TRAILER + b")(?P<mid>" + BEHIND_NAME + b")"
)
_SPACED = re.compile(b"(?P<name>(?:" + SURE_NAME + b"|" + LIKELY_NAME + b")" + TRAILER + rb")(?P<mid>[ \t]+)")
_RANDOM = re.compile(rb"[A-Za-z0-9_-]{20,200}(?![A-Za-z0-9_.(\[-])")
_BEFORE = re.compile(rb"[A-Za-z0-9_.-]*$")
_ANNOTATION = re.compile(rb"""[A-Za-z_&'"][\w.\[\], |&'"]{0,60}?[ \t]*=[ \t]*(?=[rbfuRBFU]{0,2}\\*["'`])""")
_QUOTE = re.compile(rb"""[rRbBfFuU]{0,2}(\\*)(\"\"\"|'''|["'`])""")
_NO_WORD = re.compile(rb"""[\\"'`]*[A-Za-z+/_=.%~-]{0,40}[0-9]|[A-Za-z_&'][^\n=]{0,40}=""")
_BARE = re.compile(rb"""[^\s"'`,;&<>(){}\[\]|\\\0]+""")
_LITERAL = re.compile(rb"""[^\s"'`;&<>|\\\0]+""")
_LINE = re.compile(rb"""[^\s"'`<>\\\0]+""")
_BRACED = re.compile(rb"\{([^{}\s\"]{4,200})\}(?=;|[\"']|$)")
_DIGIT = re.compile("[0-9]")
_LINE_END = re.compile(rb"[ \t]*(?:[\r\n\0]|\\+[nr]|$|[ \t]#)")
_TO_LINE_END = re.compile(rb"""[^\r\n\0"'\\`]*""")


def _whole_name(data: bytes, start: int, name: bytes) -> tuple[int, str]:
    """The start of a name of which the search found the end, and the whole name."""
    before = data[max(0, start - 60) : start]
    found = _BEFORE.search(before)
    lead = found[0] if found else b""
    begin = start - len(lead)
    if begin and data[begin - 1] == 0x5C:  # in JSON, after \n or \u2018, whose last characters are letters or digits
        cut = 5 if lead[:1] == b"u" and len(lead) >= 5 else 1
        begin, lead = begin + min(cut, len(lead)), lead[cut:]
    return begin, (lead + name).decode("ascii", "replace")


def _of_name(data: bytes, start: int, end: int) -> Verdict | None:
    """``name = value`` in any language, header, URL or configuration."""
    found = _NAME.match(data, start)
    if found is None:
        return None
    begin, name = _whole_name(data, start, found["name"])
    kind = kind_of(name)
    if kind is Kind.NONE:
        return None
    mid, value_at = found["mid"], found.end()
    if kind is Kind.LIKELY and not _NO_WORD.match(data, value_at):
        return None
    sign = mid.strip(b" \t\\\"'`)]")
    if b"value" in sign:
        sign = sign[-1:]
    if sign.startswith(b":") or sign == b"":
        annotated = _ANNOTATION.match(data, value_at)
        if annotated:
            value_at = annotated.end()
    elif sign == b">" and data[begin - 1 : begin] != b"<":
        return None
    elif sign in (b",", b"("):
        if _QUOTE.match(data, value_at) is None:
            return None
        if kind is Kind.SURE and b"define(" not in data[max(0, begin - 12) : begin]:
            kind = Kind.LIKELY
    if kind is Kind.HEADER:
        return _of_header(data, name, value_at)
    tight = sign.startswith(b"=") and b" " not in mid
    before = data[max(0, begin - 2) : begin]
    literal = (sign.startswith((b"=", b"%3", b"\\u003")) and b" " not in mid) and (
        name.isupper()
        or before[-1:] in (b"?", b"&", b";")
        or name.startswith("--")
        or b"amp;" in data[max(0, begin - 5) : begin]
    )
    return _of_value(
        data,
        value_at,
        kind,
        tight=tight,
        literal=literal or sign == b">",
        colon=sign.startswith(b":"),
        said=b"is" in sign,
        shouted=tight and name.isupper(),
    )


def _of_value(
    data: bytes,
    at: int,
    kind: Kind,
    *,
    tight: bool,
    literal: bool,
    colon: bool = False,
    said: bool = False,
    shouted: bool = False,
) -> Verdict | None:
    opened = _QUOTE.match(data, at)
    if opened is not None:
        span = _quoted(data, opened)
        if span is None:
            return None
        value = data[span[0] : span[1]].decode("utf-8", "replace")
        followed = chr(data[span[1]]) if span[1] < len(data) else ""
        written = Written(quoted=True, tight=tight, literal=literal, alone=False, followed=followed)
        if opened[2] == b"`" and not tight and not _DIGIT.search(value):
            return None  # Markdown, not a program
        return Verdict((span,), span[1]) if is_secret_value(value, kind, written) else None
    braced = _BRACED.match(data, at)
    if braced is not None and tight:
        return Verdict((braced.span(1),), braced.end())
    bare = _LINE.match(data, at, at + LONGEST) if colon or shouted else None
    if bare is None or _LINE_END.match(data, bare.end()) is None:
        bare = (_LITERAL if literal or colon else _BARE).match(data, at, at + LONGEST)
    if bare is None:
        return None
    stop = bare.end()
    alone = _LINE_END.match(data, stop) is not None
    if not alone and not literal:
        bare = _BARE.match(data, at, at + LONGEST)
        if bare is None:
            return None
        stop = bare.end()
    if not literal:
        stop = at + len(bare[0].rstrip(b".,:!?"))
    followed = chr(data[stop]) if stop < len(data) else ""
    text = data[at:stop].decode("utf-8", "replace")
    with_digit = _DIGIT.search(text) is not None
    if followed in ('"', "'", "\\") and with_digit:
        alone = True
    if said and not (with_digit and len(text) >= 6):
        return None
    literal = literal or (tight and followed in (";", "&"))
    written = Written(
        quoted=False, tight=tight, literal=literal, alone=alone and (colon or tight or with_digit), followed=followed
    )
    return Verdict(((at, stop),), stop) if is_secret_value(text, kind, written) else None


def _quoted(data: bytes, opened: re.Match[bytes]) -> Span | None:
    """The text between quotes, at any depth of JSON in JSON: the closing quote is escaped like the opening one."""
    slashes, quote = len(opened[1]), opened[2]
    begin = opened.end()
    limit = min(len(data), begin + LONGEST)
    at = begin
    while True:
        at = data.find(quote, at, limit)
        if at < 0:
            break
        run = 0
        while at - run - 1 >= begin and data[at - run - 1] == 0x5C:
            run += 1
        if run % (2 * (slashes + 1)) == slashes:
            stop = at - slashes
            if len(quote) == 1 and b"\n" in data[begin:stop]:
                break
            return begin, stop
        at += 1
    # Truncated, or not closed: up to the next blank.
    bare = _LITERAL.match(data, begin, limit)
    return None if bare is None else bare.span()


_PAIR = re.compile(rb"\s*[A-Za-z0-9_.$%-]{1,100}=[^;\s]{4}")
_AUTH_SCHEME = re.compile(
    rb"(?i)[ \t]*(basic|bearer|token|digest|api-?key|aws4-hmac-sha256|negotiate|ntlm|ssws|geniekey|key|hawk|oauth|jwt|bot|apikey|splunk|shared(?:key|access\w*))[ \t:=]+"
)


def _of_header(data: bytes, name: str, at: int) -> Verdict | None:
    """``Authorization: scheme secret``, ``Cookie: name=secret; name=secret``."""
    opened = _QUOTE.match(data, at)
    if "cookie" in name.lower() and not _PAIR.match(data, at if opened is None else opened.end()):
        return None
    span: Span | None
    if opened is not None:
        span = _quoted(data, opened)
    else:
        line = _TO_LINE_END.match(data, at, at + LONGEST)
        span = line.span() if line else None
    if span is None or span[0] == span[1]:
        return None
    begin, stop = span
    scheme = _AUTH_SCHEME.match(data, begin, stop)
    text = data[begin : min(stop, begin + JUDGED)].decode("utf-8", "replace")
    if "cookie" in name.lower():
        pair = re.match(r"\s*[\w.$%-]+=([^;\s]{4,})", text)
        if pair is None or (opened is None and re.match(r"[\w.]+\(|[{\[(<$%]", pair[1])) or _is_blank(pair[1]):
            return None
        return Verdict((span,), stop)
    written = Written(quoted=True, tight=False, literal=True, alone=True, followed="")
    if scheme is not None:
        rest = data[scheme.end() : min(stop, scheme.end() + JUDGED)].decode("utf-8", "replace")
        if _is_blank(rest) or not is_secret_value(rest, Kind.SURE, written) or (" " in rest and "=" not in rest):
            return None
        if opened is None and re.match(r"[\w.]+\(", rest):
            return None
        return Verdict(((scheme.end(), stop),), stop)
    first = text.split(" ")[0]
    return Verdict((span,), stop) if is_random(first, 12) or (opened is not None and is_random(first, 8)) else None


def _is_blank(text: str) -> bool:
    return not is_secret_value(text, Kind.SURE, Written(quoted=True, tight=True, literal=True, alone=True, followed=""))


_SCHEME_WORD = re.compile(rb"(?i:(bearer)|(basic))[ \t]{1,4}([A-Za-z0-9+/._~=-]{12,4096})")


def _of_scheme(data: bytes, start: int, end: int) -> Verdict | None:
    """``Bearer`` and ``Basic``, without a header name before them."""
    found = _SCHEME_WORD.match(data, start)
    if found is None:
        return None
    value = found[3]
    if found[1]:
        if not any(char in b"0123456789" for char in value) or len(value) < 16:
            return None
        return Verdict((found.span(3),), found.end())
    plain = _decoded(value)
    if b":" in plain and plain.isascii() and plain.decode("ascii").isprintable():
        return Verdict((found.span(3),), found.end())
    return None


# --- commands ---------------------------------------------------------------------------------------------------------

_SQL_VALUE = re.compile(rb"""\\*["']""")
_NETRC = re.compile(rb"(?i)\blogin[ \t\n]+[^\s]{1,100}[ \t\n]+$")
_SETS = re.compile(rb"(?:^|[\s])(?:ENV|ARG|setx|setenv|export|set)[ \t]+$")
_GO_TYPE = re.compile(rb"""(?:string|&?(?:'static )?str|String)[ \t]*=[ \t]*(?=\\*["'`])""")


def _of_spaced_name(data: bytes, start: int, end: int) -> Verdict | None:
    """``--password x``, ``PASSWORD 'x'`` in SQL, ``ENV API_KEY x``, ``login y password z``, and random text after any name."""
    found = _SPACED.match(data, start)
    if found is None:
        return None
    begin, name = _whole_name(data, start, found["name"])
    at = found.end()
    random = _RANDOM.match(data, at)
    if random is not None and kind_of(name) is not Kind.NONE and is_random(random[0].decode("ascii"), 20):
        return Verdict((random.span(),), random.end())
    if kind_of(name) is not Kind.SURE:
        return None
    before = data[max(0, begin - 120) : begin]
    if name.startswith("--") or before.endswith(b"--"):
        return _of_value(data, at, Kind.SURE, tight=True, literal=True)
    typed = _GO_TYPE.match(data, at)
    if typed:
        return _of_value(data, typed.end(), Kind.SURE, tight=False, literal=False)
    if _SETS.search(before[-12:]) or (b"login" in before.lower() and _NETRC.search(before)):
        return _of_value(data, at, Kind.SURE, tight=True, literal=True)
    if _SQL_VALUE.match(data, at) and (
        name.isupper() or re.search(rb"(?i)\b(?:with|user|role|identified by|encrypted)\b", before[-80:])
    ):
        return _of_value(data, at, Kind.SURE, tight=False, literal=False)
    return None


_OPTION = re.compile(
    rb"""[\s"'](?:-u|--user|--proxy-user|--http-user)[\s=]*["'\\,\s]*[A-Za-z0-9_.@%+-]{0,64}:([^\s"'\\<>]{2,256})"""
)
_LOGIN = re.compile(rb"[ \t]-p[ \t]+([A-Za-z0-9_-]{16,200})")
_FETCHES = re.compile(rb"\b(?:curl|wget|https?)\b")
_LONG_OPTION = re.compile(rb"""--?(?:[A-Za-z0-9]{1,16}[-_]){0,3}(?i:tokens?|key|auth)[ \t]+(?=[\\"'A-Za-z0-9])""")


def _of_option(data: bytes, start: int, end: int) -> Verdict | None:
    """``curl -u user:password``, ``--token x``."""
    found = _OPTION.match(data, start)
    if found is not None:
        written = Written(quoted=True, tight=True, literal=True, alone=False, followed=" ")
        if not is_secret_value(found[1].decode("utf-8", "replace"), Kind.SURE, written):
            return None
        if re.fullmatch(rb"\d{1,5}", found[1]) or (
            found[1].isalpha() and not _FETCHES.search(data[max(0, start - 200) : start])
        ):
            return None  # docker's --user 1000:1000, and other commands' -u
        return Verdict((found.span(1),), found.end())
    login = _LOGIN.match(data, start)
    if login is not None:
        return Verdict((login.span(1),), login.end()) if is_random(login[1].decode("ascii"), 16) else None
    option = _LONG_OPTION.match(data, start)
    if option is not None and kind_of(option[0].decode("ascii").strip()) is not Kind.NONE:
        return _of_value(data, option.end(), Kind.LIKELY, tight=True, literal=True)
    return None


_COMMAND = re.compile(
    COMMANDS + rb"""[ \t][^\r\n\0;|]{0,160}?(?<=[ \t])(?:-p|-a)[ \t]*(?<!-p )\\*["']?([^\s"'\\$<-][^\s"'\\]{2,100})"""
)
_ORACLE = re.compile(rb"""jdbc:oracle:thin:[A-Za-z0-9_]{1,30}/([^\s"'@/]{1,200})@""")
_LOGS_IN = re.compile(LOGINS + rb"""[ \t][^\r\n\0;|]{0,160}?(?<=[ \t])-p[ \t]+\\*["']?([^\s"'\\$<-][^\s"'\\]{2,200})""")
_IDENTIFIED = re.compile(IDENTIFIED + rb"""([^"'\\\r\n]{1,200})""")
_SSHPASS = re.compile(rb"""sshpass[ \t]+-p[ \t]*\\*["']?([^\s"'\\$<-][^\s"'\\]{1,100})""")


def _of_command(data: bytes, start: int, end: int) -> Verdict | None:
    """``mysql -psecret``, ``redis-cli -a secret``, ``sshpass -p secret``, ``docker login -p secret``, ``jdbc:oracle:thin:user/secret@host``,
    ``IDENTIFIED BY 'secret'``."""
    told = _IDENTIFIED.match(data, start)
    if told is not None:
        return None if _is_blank(told[1].decode("utf-8", "replace")) else Verdict((told.span(1),), told.end())
    found = (
        _SSHPASS.match(data, start)
        or _LOGS_IN.match(data, start)
        or _ORACLE.match(data, start)
        or _COMMAND.match(data, start)
    )
    return None if found is None else Verdict((found.span(1),), found.end())
