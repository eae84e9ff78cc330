"""Judges secrets on command lines, and in SQL, Dockerfiles and netrc files, where a name and its value have a blank between them.

In: a text as UTF-8, and where a candidate starts. Out: the bytes of the value; None if it is no secret. On failure: nothing here raises.
"""

from __future__ import annotations

import re

from genesis_otel._ship.redaction.assignments import decoded, is_blank, of_value, whole_name
from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.patterns import (
    COMMANDS,
    DOCKER,
    IDENTIFIED,
    LIKELY_NAME,
    LOGINS,
    LOGS_IN,
    OPTIONS,
    PIPED,
    SURE_NAME,
    TRAILER,
)
from genesis_otel._ship.redaction.values import Written, is_random, is_secret_value
from genesis_otel._ship.redaction.verdict import Verdict

_SPACED = re.compile(b"(?P<name>(?:" + SURE_NAME + b"|" + LIKELY_NAME + b")" + TRAILER + rb")(?P<mid>[ \t]+)")
_RANDOM = re.compile(rb"[A-Za-z0-9_-]{20,200}(?![A-Za-z0-9_.(\[-])")
_BACKTICK = re.compile(rb"\\*`")
_SQL_VALUE = re.compile(rb"""\\*["']""")
_NETRC = re.compile(rb"(?i)\blogin[ \t\n]+[^\s]{1,100}[ \t\n]+$")
_SETS = re.compile(rb"(?:^|[\s])(?:ENV|ARG|setx|setenv|export|set)(?:[ \t]+-[gUxl]{1,3})?[ \t]+$")
_GO_TYPE = re.compile(rb"""(?:string|&?(?:'static )?str|String)[ \t]*=[ \t]*(?=\\*["'`])""")


def of_spaced_name(data: bytes, start: int, end: int) -> Verdict | None:
    """``--password x``, ``PASSWORD 'x'`` in SQL, ``ENV API_KEY x``, ``login y password z``, and random text after any name."""
    found = _SPACED.match(data, start)
    if found is None:
        return None
    begin, name = whole_name(data, start, found["name"])
    at = found.end()
    quote = _SQL_VALUE.match(data, at) or _BACKTICK.match(data, at)
    random = _RANDOM.match(data, quote.end() if quote else at)
    if random is not None and kind_of(name) is not Kind.NONE and is_random(random[0].decode("ascii"), 20):
        return Verdict((random.span(),), random.end())
    if kind_of(name) is not Kind.SURE:
        return None
    before = data[max(0, begin - 120) : begin]
    if name.startswith("--") or before.endswith(b"--"):
        return of_value(data, at, Kind.SURE, tight=True, literal=True)
    typed = _GO_TYPE.match(data, at)
    if typed:
        return of_value(data, typed.end(), Kind.SURE, tight=False, literal=False)
    if _SETS.search(before[-18:]) or (b"login" in before.lower() and _NETRC.search(before)):
        return of_value(data, at, Kind.SURE, tight=True, literal=True)
    if _SQL_VALUE.match(data, at) and (
        name.isupper() or re.search(rb"(?i)\b(?:with|user|role|identified by|encrypted)\b", before[-80:])
    ):
        return of_value(data, at, Kind.SURE, tight=False, literal=False)
    return None


_OPTION = re.compile(
    rb"""[\s"'](?:-u|--user|--proxy-user|--http-user)[\s=]*["'\\,\s]*[A-Za-z0-9_.@%+-]{0,64}:([^\s"'\\<>]{2,256})"""
)
_LOGIN = re.compile(rb"[ \t]-p[ \t]+([A-Za-z0-9_-]{16,200})")
_STORE = re.compile(rb"""-(?:store|key|deststore|srcstore)pass[ \t]+\\*["']?([^\s"'\\$<:-][^\s"'\\:]{2,100})""")
_FETCHES = re.compile(rb"\b(?:curl|wget|https?)\b")
_LONG_OPTION = re.compile(rb"""--?(?:[A-Za-z0-9]{1,16}[-_]){0,3}(?i:tokens?|key|auth)[ \t]+(?=[\\"'A-Za-z0-9])""")


def of_option(data: bytes, start: int, end: int) -> Verdict | None:
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
    store = _STORE.match(data, start)
    if store is not None and not is_blank(store[1].decode("utf-8", "replace")):
        return Verdict((store.span(1),), store.end())
    login = _LOGIN.match(data, start)
    if login is not None:
        return Verdict((login.span(1),), login.end()) if is_random(login[1].decode("ascii"), 16) else None
    option = _LONG_OPTION.match(data, start)
    if option is not None and kind_of(option[0].decode("ascii").strip()) is not Kind.NONE:
        return of_value(data, option.end(), Kind.LIKELY, tight=True, literal=True)
    return None


_COMMAND = re.compile(
    COMMANDS + rb"""[ \t][^\r\n\0;|]{0,160}?(?<=[ \t])(?:-p|-a)[ \t]*(?<!-p )\\*["']?([^\s"'\\$<-][^\s"'\\]{2,100})"""
)
_ORACLE = re.compile(rb"""jdbc:oracle:thin:[A-Za-z0-9_]{1,30}/([^\s"'@/]{1,200})@""")
_LOGS_IN = re.compile(LOGINS + rb"""[ \t][^\r\n\0;|]{0,160}?(?<=[ \t])-p[ \t]+\\*["']?([^\s"'\\$<-][^\s"'\\]{2,200})""")
_IDENTIFIED = re.compile(IDENTIFIED + rb"""([^"'\\\r\n]{1,200})""")
_PAIR_OF_LOGIN = re.compile(
    LOGS_IN + rb"""[^"'\\\r\n]{1,100}\\*["'][ \t]*,[ \t]*(?:password[ \t]*=[ \t]*)?[bu]?\\*["']([^"'\\\r\n]{1,200})"""
)
_SSHPASS = re.compile(rb"""sshpass[ \t]+-p[ \t]*\\*["']?([^\s"'\\$<-][^\s"'\\]{1,100})""")
_ARGUMENTS = rb"""(?:[^\r\n\0;|]{0,160}?[ \t])??"""
_PASSWORD = rb"""\\*["']?([^\s"'\\$<-][^\s"'\\]{2,100})"""
_OPTIONS = tuple(
    re.compile(pattern + _PASSWORD)
    for pattern in (
        rb"(?:(?:un)?zip|ipmitool|sqlcmd|bcp|mosquitto_[ps]ub)[ \t]+" + _ARGUMENTS + rb"-P[ \t]+",
        rb"7z[azr]?[ \t]+" + _ARGUMENTS + rb"-p",
        rb"ldap[a-z]{3,6}[ \t]+" + _ARGUMENTS + rb"-w[ \t]+",
        rb"(?:plink|pscp|psftp)[ \t]+" + _ARGUMENTS + rb"-pw[ \t]+",
        rb"openssl[ \t]+" + _ARGUMENTS + rb"(?:-pass(?:in|out)?[ \t]+\\*[\"']?pass:|-k[ \t]+)",
        rb"smbclient[ \t]+" + _ARGUMENTS + rb"-U[ \t]*\\*[\"']?[^\s%\"']{1,64}%",
        rb"htpasswd[ \t]+-[A-Za-z]{0,4}b[A-Za-z]{0,4}[ \t]+[^\s]{1,100}[ \t]+[^\s]{1,64}[ \t]+",
        rb"lftp[ \t]+" + _ARGUMENTS + rb"-u[ \t]+[^\s,\"']{1,64},",
        rb"https?[ \t]+" + _ARGUMENTS + rb"(?:-a|--auth)[ \t=]+[A-Za-z0-9_.@%+-]{1,64}:",
        rb"sqlplus[ \t]+" + _ARGUMENTS + rb"[A-Za-z][A-Za-z0-9_]{0,30}/(?=[^\s/@]{1,60}@)",
        rb"xfreerdp[ \t]+" + _ARGUMENTS + rb"/p:",
        rb"mount[ \t]+" + _ARGUMENTS + rb"-o[ \t]+[^\s]{0,80}\bpass(?:word)?=",
    )
)
_HAS_OPTION = re.compile(OPTIONS)
_ENDS_HERE = re.compile(rb"[^@,|]*")


def _of_its_own_option(data: bytes, start: int) -> Verdict | None:
    if _HAS_OPTION.match(data, start) is None:
        return None
    for option in _OPTIONS:
        found = option.match(data, start)
        if found is not None and not is_blank(found[1].decode("utf-8", "replace")):
            # sqlplus has the host after it, mount the next option.
            stop = found.start(1) + len(_ENDS_HERE.match(found[1])[0])  # type: ignore[index]
            return Verdict(((found.start(1), stop),), stop) if stop > found.start(1) else None
    return None


_PIPED = re.compile(
    rb"""(?:echo|printf)[ \t]+(?:-[a-z]+[ \t]+)?\\*["']?(?:[A-Za-z0-9_.-]{1,64}:)?([^\s"'\\|:$]{3,100})(?:\\n)?\\*["']?[ \t]*$"""
)
_IS_PIPED = re.compile(PIPED)


def of_piped(data: bytes, start: int, end: int) -> Verdict | None:
    """``echo secret | sudo -S``, ``echo 'user:secret' | chpasswd``."""
    if not _IS_PIPED.match(data, start):
        return None
    begin = max(0, start - 200)
    found = _PIPED.search(data[begin:start])
    if found is None or is_blank(found[1].decode("utf-8", "replace")):
        return None
    return Verdict(((begin + found.start(1), begin + found.end(1)),), end)


_DOCKER = re.compile(DOCKER + rb"([A-Za-z0-9+/]{8,400}={0,2})")


def of_docker(data: bytes, start: int, end: int) -> Verdict | None:
    """``"auth": "..."``, which is a user and a password in Base64."""
    found = _DOCKER.match(data, start)
    if found is None:
        return None
    plain = decoded(found[1])
    if b":" not in plain[1:] or not plain.isascii() or not plain.decode("ascii").isprintable():
        return None
    return Verdict((found.span(1),), found.end())


_PASSWORD_FILE = re.compile(
    rb"""(?:^|[\n\0"'`]|\\n)([A-Za-z0-9][A-Za-z0-9.-]{0,100}|\*):(?:[0-9]{2,5}|\*):[^\s:]{1,64}:[A-Za-z_][\w.-]{0,40}:"""
    rb"""([^\s:"'`\\]{3,100})(?=[\s"'`\\\0]|$)"""
)


def of_password_file(data: bytes, start: int, end: int) -> Verdict | None:
    """``host:port:database:user:password`` on a line, as in ``.pgpass``."""
    if data.startswith(b"://", start):
        return None
    begin = max(0, start - 104)
    for found in _PASSWORD_FILE.finditer(data, begin, min(len(data), end + 200)):
        if found.end(1) > start + 1 or found.end() < start:
            continue
        host, password = found[1], found[2]
        if (b"." in host or host in (b"*", b"localhost")) and not is_blank(password.decode("utf-8", "replace")):
            return Verdict((found.span(2),), found.end())
    return None


def of_command(data: bytes, start: int, end: int) -> Verdict | None:
    """``mysql -psecret``, ``redis-cli -a secret``, ``sshpass -p secret``, ``docker login -p secret``, ``jdbc:oracle:thin:user/secret@host``,
    ``IDENTIFIED BY 'secret'``."""
    told = _IDENTIFIED.match(data, start) or _PAIR_OF_LOGIN.match(data, start)
    if told is not None:
        return None if is_blank(told[1].decode("utf-8", "replace")) else Verdict((told.span(1),), told.end())
    found = (
        _SSHPASS.match(data, start)
        or _LOGS_IN.match(data, start)
        or _ORACLE.match(data, start)
        or _COMMAND.match(data, start)
    )
    return _of_its_own_option(data, start) if found is None else Verdict((found.span(1),), found.end())
