"""Judges the user information of URLs.

In: a text as UTF-8, and where ``://`` stands in it. Out: the bytes of the password or token before the host; None if there is none. On
failure: nothing here raises.
"""

from __future__ import annotations

import re

from genesis_otel._ship.redaction.names import Kind
from genesis_otel._ship.redaction.values import Written, is_random, is_secret_value
from genesis_otel._ship.redaction.verdict import Verdict

LONGEST_USER_INFO = 512
_SCHEME = re.compile(rb"""(["'`]?)\b([A-Za-z][A-Za-z0-9+.-]{0,30})$""")
_PLACE = re.compile(rb"""[^\s"<>`\\\0]+""")
_PLACE_IN_QUOTES = re.compile(rb"""[^\s"<>`\\\0']+""")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%{}$<>-]+)")


_GO_DSN = re.compile(rb"""[\s"'`=]([A-Za-z0-9_.%+-]{1,64}):([^\s"'`@\\]{1,128})$""")
_PROTOCOL = re.compile(rb"@(?:tcp6?|udp|unix)\(")


def of_go_dsn(data: bytes, start: int, end: int) -> Verdict | None:
    """``user:password@tcp(host:3306)/database``, as Go's MySQL driver has it."""
    if not _PROTOCOL.match(data, start):
        return None
    found = _GO_DSN.search(data[max(0, start - 200) : start])
    written = Written(quoted=True, tight=True, literal=True, alone=False, followed="@")
    if found is None or not is_secret_value(found[2].decode("utf-8", "replace"), Kind.SURE, written):
        return None
    return Verdict(((start - len(found[2]), start),), end)


def of_url(data: bytes, start: int, end: int) -> Verdict | None:
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
