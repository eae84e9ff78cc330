"""Judges the user information of URLs.

In: a text as UTF-8, and where ``://`` stands in it. Out: the bytes of the password or token before the host; None if there is none. On
failure: nothing here raises.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from genesis_otel._ship.redaction.patterns import SLASHES
from genesis_otel._ship.redaction.values import is_blank, is_random
from genesis_otel._ship.redaction.verdict import Verdict

LONGEST_USER_INFO = 512
_SCHEME = re.compile(rb"""(["'`]?)\b([A-Za-z][A-Za-z0-9+.-]{0,30})$""")
_PLACE = re.compile(rb"""[^\s"<>`\\\0]+""")
_PLACE_IN_QUOTES = re.compile(rb"""[^\s"<>`\\\0']+""")
_SLASHES = re.compile(SLASHES)
_SOCKET = re.compile(rb"[^/:@]*:[^/]+@/")
"""``user:password@/database?host=...``: of a server on the same machine."""
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%{}$<>-]+)")


_GO_DSN = re.compile(rb"""[\s"'`=]([A-Za-z0-9_.%+-]{1,64}):([^\s"'`@\\]{1,128})$""")
_PROTOCOL = re.compile(rb"@(?:tcp6?|udp|unix)\(")


def of_go_dsn(data: bytes, start: int, end: int) -> Verdict | None:
    """``user:password@tcp(host:3306)/database``, as Go's MySQL driver has it."""
    if not _PROTOCOL.match(data, start):
        return None
    found = _GO_DSN.search(data[max(0, start - 200) : start])
    if found is None or is_blank(found[2].decode("utf-8", "replace")):
        return None
    return Verdict(((start - len(found[2]), start),), end)


def of_url(data: bytes, start: int, end: int) -> Verdict | None:
    """``scheme://user:password@host`` and ``scheme://token@host``; a password may hold ``/``, ``@``, ``?``, ``#`` and ``'``."""
    scheme = _SCHEME.search(data[max(0, start - 32) : start])
    quote = scheme[1] if scheme else b""
    slashes = _SLASHES.match(data, start)
    begin = slashes.end() if slashes else start + 3
    found = (_PLACE_IN_QUOTES if quote == b"'" else _PLACE).match(data, begin, begin + LONGEST_USER_INFO)
    place = found[0] if found else b""
    again = place.find(b"://")
    if again >= 0:
        place = place[:again]
    at = place.rfind(b"@")
    # A host has to follow, and an @ in a path has no user before it.
    while at >= 0 and not (_HOST.match(place, at + 1) or _SOCKET.match(place[: at + 2])):
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
    if is_blank(password.decode("utf-8", "replace")):
        password = b""
    if not password and not is_random(user.decode("utf-8", "replace"), 16):
        return None
    spans = ((begin + len(user) + 1, begin + at),)
    if is_random(user.decode("utf-8", "replace"), 16):
        spans = ((begin, begin + at),)
    return Verdict(spans, begin + at)


_ENCODED = re.compile(
    rb"(?i:%3a%2f%2f)[A-Za-z0-9_.~+-]{0,64}(?:%40[A-Za-z0-9.-]{0,64})?%3[aA]"
    rb"((?:[A-Za-z0-9_.~!*'()+-]|%(?!40|(?i:2f|3f|20|22))[0-9A-Fa-f]{2}){1,128})%40"
)


def of_encoded_url(data: bytes, start: int, end: int) -> Verdict | None:
    """``scheme%3A%2F%2Fuser%3Apassword%40host``: a URL as a parameter of another one."""
    found = _ENCODED.match(data, start)
    if found is None or is_blank(unquote_to_bytes(found[1]).decode("utf-8", "replace")):
        return None
    return Verdict((found.span(1),), found.end())
