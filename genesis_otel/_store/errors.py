"""Store errors in plain words: what is wrong and what to do, on one line and without a password.

In: an error of clickhouse-connect and the URL it was raised for. Out: a line of text, or a :class:`StoreError` that holds one;
a :class:`ConfigurationError` if waiting cannot help. On failure: only :func:`split_url` raises; it refuses a malformed URL
without repeating it.
"""

from __future__ import annotations

import re

from genesis_otel._log import first_line
from genesis_otel._urls import Url, UrlError, split

URL_FORM = "http(s)://user:password@host:port/database, or chdb:///folder for the embedded store"

READONLY = 164
AUTHENTICATION_FAILED = frozenset({192, 193, 194, 195, 516})
UNKNOWN_DATABASE = 81
ACCESS_DENIED = 497
SETTING_REFUSED = 452

CONFIGURATION = AUTHENTICATION_FAILED | {READONLY, UNKNOWN_DATABASE, ACCESS_DENIED, SETTING_REFUSED, 60, 115, 291}
"""ClickHouse's codes for what somebody has to fix: users, grants, profiles, databases, tables; never an outage.

https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

GRANT = re.compile(r"necessary to have (?:the )?grant ([^\n]*?)(?:\. \(|\s*\(ACCESS_DENIED|\Z|\n)")


REFUSING = (401, 403, 404, 405)
"""HTTP statuses that, without a ClickHouse code, mean that something in front of ClickHouse refused."""
FOREIGN = "Unexpected response to server version query"
"""What clickhouse-connect says about an answer that is not ClickHouse's."""


class StoreError(Exception):
    """The store cannot be used as asked. The message is written for people: what is wrong, and what to do."""


class ConfigurationError(StoreError):
    """The store cannot be used until somebody fixes a setting; unlike an outage, this does not end by itself."""


class MissingDatabaseError(ConfigurationError):
    """The server has no such database."""


class BusyError(StoreError):
    """What answers asks to be left alone for ``after`` seconds (``Retry-After``)."""

    def __init__(self, text: str, after: float) -> None:
        super().__init__(text)
        self.after = after


class TooLargeError(StoreError):
    """Something in front of the store does not accept a body of this size."""


def split_url(url: str) -> Url:
    """The parts of an ``http(s)://`` URL.

    :raises StoreError: it is not one; the text never repeats the URL, which may hold a password.
    """
    try:
        parts = split(url)
    except UrlError as error:
        raise StoreError(f"CLICKHOUSE_URL cannot be parsed: {error}. Its form is {URL_FORM}") from None
    if parts.scheme not in ("http", "https"):
        raise StoreError(f"CLICKHOUSE_URL starts with {parts.scheme!r}. Its form is {URL_FORM}")
    if parts.port in (9000, 9440):
        raise StoreError(
            f"port {parts.port} is ClickHouse's native protocol; genesis-otel needs its HTTP interface: 8123 for http, 8443 for https"
        )
    return parts


def where(url: str) -> str:
    """Scheme, host and port of a URL: the parts that messages show."""
    parts = split_url(url)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"


def code_of(error: Exception) -> int | None:
    """ClickHouse's code of an error, even if a proxy removed the header that carries it; None if the error is not ClickHouse's."""
    # This import takes 120 ms of CPU, and a search that spools for a store process never needs it.
    from clickhouse_connect.driver.exceptions import Error

    if not isinstance(error, Error):
        return None
    found = (
        re.search(r"(?:server response: |\A)Code: (\d+)\. DB::Exception", str(error)) if error.code is None else None
    )
    return int(found[1]) if found else error.code


def explained(error: Exception, url: str) -> StoreError:
    """Convert ``error``, which clickhouse-connect raised for ``url``, to one that says what it means and what to do."""
    if isinstance(error, StoreError):
        return error
    code = code_of(error)
    kind = MissingDatabaseError if code == UNKNOWN_DATABASE else ConfigurationError
    wrong = code in CONFIGURATION or (code is None and (_status(error) in REFUSING or FOREIGN in str(error)))
    return (kind if wrong else StoreError)(explain(error, url))


def explain(error: Exception, url: str) -> str:
    """What ``error``, which clickhouse-connect raised for ``url``, means and what to do, on one line and without a password."""
    place, database = where(url), split_url(url).path.strip("/")
    code = code_of(error)
    text = str(error)
    if code in AUTHENTICATION_FAILED:
        return f"{place} refused the user or the password: check the user:password@ part of CLICKHOUSE_URL (percent-encode @ : / in it)"
    if code == UNKNOWN_DATABASE:
        return f"the database {database!r} does not exist at {place}: check its name; genesis-otel init creates it, as does a search's first insert"
    if code == ACCESS_DENIED:
        needed = GRANT.search(text)
        what = f"it lacks the grant {needed[1]}" if needed else first_line(error)
        return f"the user of CLICKHOUSE_URL may not do this at {place}: {what}. Grant it, or use the user who owns the schema"
    if code == READONLY:
        return f"the user of CLICKHOUSE_URL can only read at {place} (readonly): use one who may insert"
    if code == SETTING_REFUSED:
        return f"the user of CLICKHOUSE_URL may not change a setting that inserts need, at {place}: {first_line(error)}"
    if code is None and (status := _status(error)):
        return f"{place} answered with HTTP status {status}, but not from ClickHouse: is there a proxy in front of it, or is this the wrong port?"
    if code is None and FOREIGN in text:
        return (
            f"the server at {place} is not ClickHouse but a proxy, a login page or another server; check CLICKHOUSE_URL"
        )
    if "refused" in text:
        return (
            f"Connection refused at {place}: check host and port, that ClickHouse is running and that a firewall lets you "
            "through; ClickHouse Cloud wants https:// and port 8443"
        )
    if re.search("resolve|Name or service|nodename", text):
        return f"the host name of {place} cannot be resolved: check it in CLICKHOUSE_URL"
    if re.search("CERTIFICATE|SSL|TLS|wrong version", text, re.IGNORECASE):
        return f"TLS with {place} failed: use https:// with the TLS port (8443) and http:// with the plain one (8123); {first_line(error)}"
    if re.search("timed? ?out", text, re.IGNORECASE):
        return (
            f"{place} did not answer in time: check host, port and firewall, and that https:// goes with the TLS port (8443) and "
            "http:// the plain one (8123); ClickHouse Cloud may be waking up: try again"
        )
    if re.search("Remote end closed|Connection aborted|reset by peer", text):
        return f"{place} closed the connection without an answer: is it shutting down, or does something in between close connections?"
    return f"ClickHouse at {place}: {first_line(error)}"


def _status(error: Exception) -> int | None:
    found = re.search(r"HTTP driver received HTTP status (\d+)", str(error))
    return int(found[1]) if found else None
