"""Who asks, by a request's headers alone, and how much they may send.

In: headers, as WSGI names them. Out: a user and a bound of bytes. On failure: nobody, who may send nothing; passwords are compared
in constant time and stand in no message.
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
"""Largest body of a request, and largest that it may become unpacked: a batch of spans is 16 MiB."""
STATEMENT_BYTES = 16 << 20
"""Largest statement, and with its parameters the largest body of a reader's."""


def user_of(headers: Mapping[str, str], passwords: Mapping[bytes, bytes]) -> str:
    """The user whose password stands in ``headers``; empty where none does."""
    user, key = headers.get("HTTP_X_CLICKHOUSE_USER", ""), headers.get("HTTP_X_CLICKHOUSE_KEY", "")
    scheme, _, value = headers.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, key = base64.b64decode(value, validate=True).decode().partition(":")
    # All are compared in any case, in constant time.
    found = ""
    for known, password in passwords.items():
        right = hmac.compare_digest(user.encode(errors="replace"), known)
        if hmac.compare_digest(key.encode(errors="replace"), password) & right:
            found = known.decode()
    return found


def most_of(user: str) -> int:
    """Bytes of the largest body that a user may send."""
    return {USER: BODY_BYTES, READER: STATEMENT_BYTES}.get(user, 0)
