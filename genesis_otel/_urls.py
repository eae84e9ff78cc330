"""URLs with a user and a password: splitting them, and hiding their secrets.

In: a URL from a setting, or any text that may contain URLs. Out: the URL's parts; the text without secrets. On failure: :func:`split`
raises :class:`UrlError`, which says what is wrong and repeats nothing of the URL. Nothing else raises.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

HIDDEN = "***"

# A host and what may follow it. The user and password before it end at the last "@", whatever they contain.
HOST = r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s\[\]@:/?#\\]+)(?::(?P<port>\d{0,5}))?"
# These are compiled when they are first used: that takes 2 ms, and most searches have no URL.
URL = rf"(?s)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>.*)@)?{HOST}(?P<path>/[^@?#]*)?(?P<rest>[?#][^@]*)?"
AUTHORITY = rf"(?:[^/?#]*@)?{HOST}(?<!:)"
"""The part between ``://`` and the first ``/``, ``?`` or ``#``, as the standard defines it, but without an empty port."""

USER_INFO = r"(?<=://)[^\s\"<>]*(?=@)"
PARAMETER = (
    r"(?i)([?&;](?:password|passwd|pwd|token|access_token|api_?key|key|secret|sig|signature|auth|authorization)=)"
    r"[^&;\s\"'<>#)]+"
)


class UrlError(ValueError):
    """A URL cannot be parsed. The message repeats nothing of it."""


class Url(NamedTuple):
    """The parts of a URL; user and password are percent-decoded."""

    scheme: str
    username: str | None
    password: str | None
    hostname: str
    port: int | None
    path: str
    """Still percent-encoded."""


def split(url: str) -> Url:
    """The parts of ``url``, whose password may contain ``/ # ? @`` as long as the URL is unambiguous.

    :raises UrlError: it is not a URL, or it is ambiguous.
    """
    found = re.fullmatch(URL, url.strip())
    if found is None:
        raise UrlError(
            "it is not a URL with a host; percent-encode everything but letters and digits in the user and the password"
            if "://" in url
            else "it has no scheme such as http://"
        )
    scheme, user, host, port, path, _ = found.group("scheme", "user", "host", "port", "path", "rest")
    authority = re.split(r"[/?#]", url.strip().partition("://")[2], maxsplit=1)[0]
    if user is not None and re.search(r"[/?#]", user) and _is_whole(authority):
        # http://user:12/34@host: the password is 12/34, or the port is 12 and 34@host is the path.
        raise UrlError("it is ambiguous: percent-encode / # ? and @ in the user and the password")
    if port and int(port) > 65535:
        raise UrlError("its port is greater than 65535")
    name, colon, password = (user or "").partition(":")
    return Url(
        scheme.lower(),
        unquote(name) if name else None,
        unquote(password) if colon else None,
        host.strip("[]").lower(),
        int(port) if port else None,
        path or "",
    )


def _is_whole(authority: str) -> bool:
    found = re.fullmatch(AUTHORITY, authority)
    return found is not None and int(found["port"] or 0) <= 65535


def shown(url: str) -> str:
    """One URL without its secrets, whatever characters its password contains."""
    head, separator, tail = url.partition("://")
    user, at, host = tail.rpartition("@")
    return hidden(f"{head}{separator}{_shown(user)}{at}{host}") if at else hidden(url)


def hidden(text: str, instead: str = HIDDEN) -> str:
    """``text`` without the passwords and tokens of the URLs in it.

    A user name with a password is kept; a text before ``@`` without a colon may be a token and is hidden.
    """
    if "://" not in text:
        return text
    text = re.sub(USER_INFO, lambda found: _shown(found[0], instead), text)
    return re.sub(PARAMETER, rf"\g<1>{instead}", text)


def _shown(user: str, instead: str = HIDDEN) -> str:
    name, colon, _ = user.partition(":")
    # "host:8123/path" is not a user name: the "@" was part of the path.
    return f"{name}:{instead}" if colon and re.fullmatch(r"[\w.%-]*", name) else instead
