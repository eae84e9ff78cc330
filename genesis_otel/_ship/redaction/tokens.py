"""Judges what looks like a token or a private key by itself, without a name before it.

In: a text as UTF-8, and where a candidate starts. Out: the bytes of the token or key; None if it is none. On failure: nothing here raises;
a key that was truncated ends where its text does.
"""

from __future__ import annotations

import functools
import re

from genesis_otel._ship.redaction.patterns import JWK, LEAD, LOOSE, PEM, PUTTY, TOKENS
from genesis_otel._ship.redaction.values import is_key, is_random
from genesis_otel._ship.redaction.verdict import MARK, Verdict


# Compiled only when a text has such a beginning, which few do: the first takes 6 ms, as much as all others together.
@functools.cache
def _a_token() -> re.Pattern[bytes]:
    known = b"|".join(b"(?:" + entry[0] + b")(?:" + entry[1] + b")" for entry in TOKENS)
    return re.compile(LEAD + b"((?:" + known + b"))")


@functools.cache
def _a_loose_one() -> re.Pattern[bytes]:
    return re.compile(LEAD + b"(" + LOOSE + b"[A-Za-z0-9_-]{16,512})")


_UNKNOWN = re.compile(rb"[_-]([A-Za-z0-9]{20,256})(?![A-Za-z0-9_]|-(?!----))")
_LABEL = re.compile(rb"(?:^|[^A-Za-z0-9/+=.])(\\[nrt])?([A-Za-z][A-Za-z0-9]{0,11}(?:[_-][A-Za-z0-9]{1,10}){0,3})$")


_AWS_PAIR = re.compile(rb"""(A[KS]IA[0-9A-Z]{16})[\s"'`\\,:;|]{1,8}(?:b?["'])?([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])""")
"""A key's id and, beside it, the key itself, which looks like nothing: ``id:key``, ``client("s3", "id", "key")``."""


def of_token(data: bytes, start: int, end: int) -> Verdict | None:
    """A token of a known provider, by its prefix and length."""
    found = _a_token().match(data, start)
    if found is None:
        return None
    beside = _AWS_PAIR.match(data, found.start(1))
    if beside is not None and is_random(beside[2].decode("ascii"), 8):
        return Verdict((beside.span(1), beside.span(2)), beside.end())
    return Verdict((found.span(1),), found.end())


def of_loose_token(data: bytes, start: int, end: int) -> Verdict | None:
    """A token whose prefix is that of other things, too, followed by something random."""
    found = _a_loose_one().match(data, start)
    if found is None or not is_key(found[1].decode("ascii")):
        return None
    return Verdict((found.span(1),), found.end())


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


def of_unknown_token(data: bytes, start: int, end: int) -> Verdict | None:
    """A prefix of an unlisted provider, followed by something random."""
    found = _UNKNOWN.match(data, start)
    # What precedes a secret that was removed is none: it would have been removed, too.
    if found is None or data[found.end() : found.end() + 1] == b"." or data.startswith(MARK, found.end()):
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
    rb"(?:(?:\s|\\+[nr]){0,80}(?:Proc-Type|DEK-Info|Version|Comment|Hash)[^\\\n]{0,200})*[A-Za-z0-9+/=]*"
    rb"(?:(?:\s|\\+[nrt]){1,80}[A-Za-z0-9+/=]{24,})*(?:(?:\s|\\+[nrt]){1,80}[A-Za-z0-9+/=]{1,23}(?=[\s\\\"'`]*(?:$|\xe2\x80\xa6)|[\\\"'`]))?"
)
"""A key without its last line: lines of at least 24 characters, and, if the text or the string ends there, a shorter one."""
_KEY_END = re.compile(rb"-----END[A-Z0-9 ]{0,80}-----")
_KEY_LINE = re.compile(rb"[A-Za-z0-9+/=]{24}")
_KEY_PIECE = re.compile(b"(" + re.escape(MARK) + rb"|\\+(?:[nrtbf\"'\\/]|u[0-9A-Fa-f]{4}))|[A-Za-z0-9+/=]{6,}")


def of_private_key(data: bytes, start: int, end: int) -> Verdict | None:
    """A private key in PEM, whole or truncated."""
    head = PEM.match(data, start)
    if head is None:
        return None
    dashes = data.find(b"-----", head.end())
    if dashes < 0 or not data.startswith(b"-----END", dashes):
        body = _KEY_TEXT.match(data, head.end())
        stop = body.end() if body else head.end()
        # Not into the escape that ends the enclosing string. What begins another secret behind the key looks like more of the key.
        return Verdict(((start, stop),), head.end() - 1)
    closing = _KEY_END.match(data, dashes)
    stop = closing.end() if closing else dashes + 8
    if not any(quote in data[start:stop] for quote in (b'"', b"'", b"`")):
        return Verdict(((start, stop),), stop)
    # Line by line in a program or a list: only the lines are removed, not what encloses them. The heading, too: what is left of it would
    # begin another key.
    pieces = [piece.span() for piece in _KEY_PIECE.finditer(data, head.end(), dashes) if piece[1] is None]
    if not any(_KEY_LINE.search(data, *piece) for piece in pieces):
        return None  # a program that looks for the two lines, and has no key between them
    return Verdict((head.span(), *pieces), head.end() - 1)


_WEB_KEY = re.compile(JWK + rb"([A-Za-z0-9_-]{32,2048})")
_KEY_TYPE = re.compile(rb"""["']kty\\*["']""")


def of_web_key(data: bytes, start: int, end: int) -> Verdict | None:
    """A private member of a JSON web key; that it is one, its type beside it says."""
    found = _WEB_KEY.match(data, start)
    if found is None or not _KEY_TYPE.search(data, max(0, start - 4096), found.end() + 4096):
        return None
    return Verdict((found.span(1),), found.end())


_PUTTY_KEY = re.compile(PUTTY + rb"\d{1,3}((?:\s|\\+[nr])+(?:[A-Za-z0-9+/=]{4,}(?:\s|\\+[nr])*)+)")


def of_putty(data: bytes, start: int, end: int) -> Verdict | None:
    """A private key in PuTTY's format."""
    found = _PUTTY_KEY.match(data, start)
    return None if found is None else Verdict((found.span(1),), found.start(1))
