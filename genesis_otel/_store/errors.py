"""What goes wrong with a store, for people: what is wrong and what to do, on one line and without a password.

In: an error of clickhouse-connect and the URL it was raised on. Out: a line of text, or a :class:`StoreError` that holds one.
On failure: nothing here raises but :func:`split_url`, which refuses a malformed URL without repeating it.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from clickhouse_connect.driver.exceptions import Error

URL_FORM = "http(s)://user:password@host:port/database, or chdb:///folder for the embedded store"

AUTHENTICATION_FAILED = frozenset({192, 193, 194, 516})
UNKNOWN_DATABASE = 81
ACCESS_DENIED = 497


class StoreError(Exception):
    """The store cannot be used as asked. The text is for people: what is wrong, and what to do."""


def split_url(url: str) -> SplitResult:
    """The parts of an ``http(s)://`` URL.

    :raises StoreError: it is not one; the text never repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StoreError(f"CLICKHOUSE_URL cannot be read: {error}. Its form is {URL_FORM}") from error
    if parts.scheme not in ("http", "https"):
        raise StoreError(f"CLICKHOUSE_URL begins with {parts.scheme or 'no scheme'!r}. Its form is {URL_FORM}")
    if not parts.hostname:
        raise StoreError(f"CLICKHOUSE_URL names no host. Its form is {URL_FORM}")
    if port in (9000, 9440):
        raise StoreError(
            f"port {port} is ClickHouse's native protocol; this needs its HTTP interface: 8123 for http, 8443 for https"
        )
    return parts


def masked(url: str) -> str:
    """``url`` as it may be shown: with ``***`` for the password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def explain(error: Exception, url: str) -> str:
    """What ``error``, raised by clickhouse-connect on ``url``, means and what to do, on one line and without a password."""
    parts = split_url(url)
    where = f"{parts.scheme}://{parts.hostname}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"
    code = error.code if isinstance(error, Error) else None
    text = str(error)
    if code in AUTHENTICATION_FAILED:
        return f"{where} refused the user or the password: check the user:password@ part of CLICKHOUSE_URL (percent-encode @ : / in it)"
    if code == UNKNOWN_DATABASE:
        return f"the database {parts.path.strip('/')!r} does not exist at {where} and could not be made: CREATE DATABASE it, or grant that"
    if code == ACCESS_DENIED:
        return f"the user of CLICKHOUSE_URL may not do this at {where}: {first_line(error)}. Grant it, or use the user who owns the schema"
    if "refused" in text:
        return (
            f"Connection refused at {where}: check host and port, that ClickHouse is running and that a firewall lets you "
            "through; ClickHouse Cloud wants https:// and port 8443"
        )
    if re.search("resolve|Name or service|nodename", text):
        return f"the host of {where} is not known: check its name in CLICKHOUSE_URL"
    if re.search("CERTIFICATE|SSL|TLS|wrong version", text, re.IGNORECASE):
        return f"TLS with {where} failed: use https:// with the TLS port (8443) and http:// with the plain one (8123); {first_line(error)}"
    if re.search("timed? ?out", text, re.IGNORECASE):
        return (
            f"{where} did not answer in time: check host, port and firewall, and that https:// meets the TLS port (8443) and "
            "http:// the plain one (8123); ClickHouse Cloud may be waking from idle: try again"
        )
    return f"ClickHouse at {where}: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 300 characters, with passwords of URLs masked."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300]
