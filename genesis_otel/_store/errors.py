"""What goes wrong with a store, for people: what is wrong and what to do, on one line and without a password.

In: an error of clickhouse-connect and the URL it was raised on. Out: a line of text, or a :class:`StoreError` that holds one;
a :class:`ConfigurationError` where no waiting will help. On failure: nothing here raises but :func:`split_url`, which
refuses a malformed URL without repeating it.
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
"""Codes of ClickHouse for what somebody has to set right: users, grants, profiles, databases, tables; an outage is none of them.

https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

GRANT = re.compile(r"necessary to have (?:the )?grant ([^\n]*?)(?:\. \(|\s*\(ACCESS_DENIED|\Z|\n)")


REFUSING = (401, 403, 404, 405)
"""HTTP statuses that, without a code of ClickHouse, come from somebody before it who refuses."""
FOREIGN = "Unexpected response to server version query"
"""What clickhouse-connect says of an answer that is none of ClickHouse's."""


class StoreError(Exception):
    """The store cannot be used as asked. The text is for people: what is wrong, and what to do."""


class ConfigurationError(StoreError):
    """The store cannot be used until somebody has set something right: no outage, which ends by itself."""


class MissingDatabaseError(ConfigurationError):
    """The server has no such database."""


class BusyError(StoreError):
    """What answers asks to be left alone for ``after`` seconds (``Retry-After``)."""

    def __init__(self, text: str, after: float) -> None:
        super().__init__(text)
        self.after = after


class TooLargeError(StoreError):
    """What stands before the store takes no body of this size."""


def split_url(url: str) -> Url:
    """The parts of an ``http(s)://`` URL.

    :raises StoreError: it is not one; the text never repeats the URL, which may hold a password.
    """
    try:
        parts = split(url)
    except UrlError as error:
        raise StoreError(f"CLICKHOUSE_URL cannot be read: {error}. Its form is {URL_FORM}") from None
    if parts.scheme not in ("http", "https"):
        raise StoreError(f"CLICKHOUSE_URL begins with {parts.scheme!r}. Its form is {URL_FORM}")
    if parts.port in (9000, 9440):
        raise StoreError(
            f"port {parts.port} is ClickHouse's native protocol; this needs its HTTP interface: 8123 for http, 8443 for https"
        )
    return parts


def where(url: str) -> str:
    """Scheme, host and port of a URL, which is what is said of it."""
    parts = split_url(url)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"


def code_of(error: Exception) -> int | None:
    """ClickHouse's code of an error, also where a proxy has taken the header off that has it; None where it is no error of its."""
    # Its import takes 120 ms of CPU, and a search that spools for a store process never needs it.
    from clickhouse_connect.driver.exceptions import Error

    if not isinstance(error, Error):
        return None
    found = (
        re.search(r"(?:server response: |\A)Code: (\d+)\. DB::Exception", str(error)) if error.code is None else None
    )
    return int(found[1]) if found else error.code


def explained(error: Exception, url: str) -> StoreError:
    """``error``, raised by clickhouse-connect on ``url``, as what it means and what to do."""
    if isinstance(error, StoreError):
        return error
    code = code_of(error)
    kind = MissingDatabaseError if code == UNKNOWN_DATABASE else ConfigurationError
    wrong = code in CONFIGURATION or (code is None and (_status(error) in REFUSING or FOREIGN in str(error)))
    return (kind if wrong else StoreError)(explain(error, url))


def explain(error: Exception, url: str) -> str:
    """What ``error``, raised by clickhouse-connect on ``url``, means and what to do, on one line and without a password."""
    place, database = where(url), split_url(url).path.strip("/")
    code = code_of(error)
    text = str(error)
    if code in AUTHENTICATION_FAILED:
        return f"{place} refused the user or the password: check the user:password@ part of CLICKHOUSE_URL (percent-encode @ : / in it)"
    if code == UNKNOWN_DATABASE:
        return f"the database {database!r} does not exist at {place}: check its name; genesis-otel init makes it, as does a search's first insert"
    if code == ACCESS_DENIED:
        needed = GRANT.search(text)
        what = f"it lacks the grant {needed[1]}" if needed else first_line(error)
        return f"the user of CLICKHOUSE_URL may not do this at {place}: {what}. Grant it, or name the user who owns the schema"
    if code == READONLY:
        return f"the user of CLICKHOUSE_URL can only read at {place} (readonly): name one who may insert"
    if code == SETTING_REFUSED:
        return f"the user of CLICKHOUSE_URL may not change a setting that inserts need at {place}: {first_line(error)}"
    if code is None and (status := _status(error)):
        return f"{place} answered with HTTP status {status}, and it is not ClickHouse that says so: what stands before it, or which port is this?"
    if code is None and FOREIGN in text:
        return (
            f"what answers at {place} is no ClickHouse: a proxy, a login page or another server; check CLICKHOUSE_URL"
        )
    if "refused" in text:
        return (
            f"Connection refused at {place}: check host and port, that ClickHouse is running and that a firewall lets you "
            "through; ClickHouse Cloud wants https:// and port 8443"
        )
    if re.search("resolve|Name or service|nodename", text):
        return f"the host of {place} is not known: check its name in CLICKHOUSE_URL"
    if re.search("CERTIFICATE|SSL|TLS|wrong version", text, re.IGNORECASE):
        return f"TLS with {place} failed: use https:// with the TLS port (8443) and http:// with the plain one (8123); {first_line(error)}"
    if re.search("timed? ?out", text, re.IGNORECASE):
        return (
            f"{place} did not answer in time: check host, port and firewall, and that https:// meets the TLS port (8443) and "
            "http:// the plain one (8123); ClickHouse Cloud may be waking from idle: try again"
        )
    if re.search("Remote end closed|Connection aborted|reset by peer", text):
        return f"{place} closed the connection without an answer: is it ending, or is something between that ends connections?"
    return f"ClickHouse at {place}: {first_line(error)}"


def _status(error: Exception) -> int | None:
    found = re.search(r"HTTP driver received HTTP status (\d+)", str(error))
    return int(found[1]) if found else None
