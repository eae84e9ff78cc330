"""Who sends a request, judged by its headers alone, and how much they may send.

In: headers, as WSGI names them. Out: a user and a limit in bytes. On failure: no user, who may send nothing; passwords are compared
in constant time and appear in no message.
"""

import base64
import hmac
from collections.abc import Mapping
from contextlib import suppress

USER = "genesis"
"""Owns the store."""
READER = "reader"
"""Only reads."""

BODY_BYTES = 256 << 20
"""Maximum body of a request, as sent and decompressed: a batch of spans is 16 MiB."""
STATEMENT_BYTES = 16 << 20
"""Maximum statement, and, with its parameters, a reader's maximum body."""


def user_of(headers: Mapping[str, str], passwords: Mapping[bytes, bytes]) -> str:
    """The user whose password is in ``headers``; empty if there is none."""
    user, key = headers.get("HTTP_X_CLICKHOUSE_USER", ""), headers.get("HTTP_X_CLICKHOUSE_KEY", "")
    scheme, _, value = headers.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, key = base64.b64decode(value, validate=True).decode().partition(":")
    # All passwords are always compared, in constant time.
    found = ""
    for known, password in passwords.items():
        right = hmac.compare_digest(user.encode(errors="replace"), known)
        if hmac.compare_digest(key.encode(errors="replace"), password) & right:
            found = known.decode()
    return found


def most_of(user: str) -> int:
    """Maximum bytes of a body that a user may send."""
    return {USER: BODY_BYTES, READER: STATEMENT_BYTES}.get(user, 0)
