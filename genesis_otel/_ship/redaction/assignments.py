"""Judges values by the names before them: assignments in any language, headers, URLs and configuration.

In: a text as UTF-8, and where a candidate starts. Out: the bytes of the value; None if it is no secret. On failure: nothing here raises; a
quoted value that is not closed ends at the next blank.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.patterns import BEHIND_NAME, FOREIGN, INPUT, LIKELY_NAME, SURE_NAME, TRAILER
from genesis_otel._ship.redaction.values import JUDGED, LONGEST, Written, is_blank, is_random, is_secret_value
from genesis_otel._ship.redaction.verdict import REDACTED, Span, Verdict

_NAME = re.compile(
    b"(?P<name>(?:" + SURE_NAME + b"|" + LIKELY_NAME + b")" + TRAILER + b")(?P<mid>" + BEHIND_NAME + b")"
)
_BEFORE = re.compile(rb"[A-Za-z0-9_.-]*$")
_ANNOTATION = re.compile(rb"""[A-Za-z_&'"][\w.\[\], |&'"]{0,60}?[ \t]*=[ \t]*(?=[rbfuRBFU]{0,2}\\*["'`])""")
_QUOTE = re.compile(rb"""[rRbBfFuUN]{0,2}(\\*)(\"\"\"|'''|["'`])""")
_NO_WORD = re.compile(rb"""[\\"'`]*[A-Za-z+/_=.%~-]{0,40}[0-9]|[A-Za-z_&'][^\n=]{0,40}=""")
_BARE = re.compile(rb"""[^\s"'`,;&<>(){}\[\]|\\\0]+""")
_LITERAL = re.compile(rb"""[^\s"'`;&<>|\\\0]+""")
_LINE = re.compile(rb"""[^\s"'`<>\\\0]+""")
_BRACED = re.compile(rb"\{([^{}\s\"]{4,200})\}(?=;|[\"']|$)")
_DIGIT = re.compile("[0-9]")
_ENTITY = re.compile(rb"&quot;|&#3[49];|%22")
_TAG = re.compile(
    rb"""<(?:[A-Za-z0-9_]{1,20}:)?$|<(?:property|entry|(?:init-)?param|setting|string|add|item|config|env|constant|arg)\b[^<>]{0,60}(?:name|key|id)=["']$"""
)
"""What precedes a name whose value follows ``>``: ``<password>``, ``<ns:Password>``, ``<entry key="password">``."""
_LISTED = re.compile(rb"""[^\s"'`,;&<>(){}\[\]|\\=\0]{1,200}[ \t]+[A-Za-z_][\w.-]{0,40}=[^\s=]""")
_PAIR_BEFORE = re.compile(rb"""[A-Za-z_][\w.-]{0,40}=[^\s"'`,;&<>(){}\[\]=]{1,200}[ \t]+$""")
"""``host=db password=x dbname=y``: pairs with blanks between them, as in libpq, logfmt and inventories, are not a program's."""
_AFTER_PORT = re.compile(rb""":[0-9]{2,5}(?:,[ ]?[A-Za-z]\w{0,30}=[^\s,;"'`]{0,60}){0,6},$""")
"""``host:6379,password=x,ssl=True``, as in .NET."""
_ARGUMENT = re.compile(rb"""b?\\*["'](?!-)(?=[^"'\\\n]{0,100}[0-9!#$%&*+/=@^~])[^"'\\\n]{3,200}\\*["']""")
"""An option's value as the next item of a list; not the help or another name of an option."""
_GETS = re.compile(rb"""(?i)\.get(?:env|ordefault|property)?\(\s*\\*["']?$|(?i:\bgetenv)\(\s*\\*["']?$""")
"""What precedes a name whose value is read, with what it is by default as the next argument: ``os.environ.get("DB_PASSWORD", "...")``."""
_SETTER = re.compile(r"(?:^|\.)(?:set|with)_?\w*$|\.(?:[a-z]+|apiKey|api_key)$")
"""The name of a function that takes it: ``x.setPassword("...")``, ``.password("...")``; not ``hash_password``."""
_WIDE_COLON = "：".encode()
_MEMBER = re.compile(rb"""\{\s*\\*["'](?:value|S|stringValue|string_value)\\*["']\s*:\s*(?=\\*["'])""")
"""``"password": {"value": "..."}``, as in DynamoDB's and OTLP's JSON."""
_FOREIGN = re.compile(FOREIGN + rb"""[\\"'`*]{0,4}([^\s"'`,;<>\\\0]{6,100})""")
_INPUT = re.compile(INPUT + rb"""(\\*["'])([^\n]{1,200}?)\1""")
_REFUSED = re.compile(rb"""(?:^|[\n\0"'`]|\\n)([\w.]{1,80})(?:\r?\n|\\+n)[ \t]+[^\n]{1,200}$""")
_PHRASE = re.compile(rb"""(?:[\[(]\s*)?\\*["'`]?((?:[a-z]{3,8}[ \t,"'\\]{1,5}){11,23}[a-z]{3,8})\b""")
_OF_WORDS = ("mnemonic", "phrase", "seed")
"""Names whose values are twelve words or more: those of a wallet."""
_WRAPPED = re.compile(rb"""(?:(?:SecretStr|Secret|str|bytes)?[\[(]\s*){1,2}(?=[rbfuRBFU]{0,2}\\*["'`])""")
_NEXT = re.compile(rb"""\s*,\s*(?=[rbfuRBFU]{0,2}\\*["'`])""")
"""What follows a value of a list, and precedes the next one."""
_SETS = re.compile(rb"""(?i)(?:define|put(?:env)?|set(?:env|default|item|property|header|attribute)?)\(\s*\\*["']?$""")
"""What precedes a name whose value is the next argument: ``os.Setenv("DB_PASSWORD", "...")``."""
_OPENED = re.compile(rb"""[|>][+-]?[ \t]*(?:\r?\n|\\+n)[ \t]+|[&!][\w!/:-]{1,40}[ \t]+""")
"""What YAML has between the colon and the value: a block's mark and the end of its line, an anchor, a tag."""
_CDATA = re.compile(rb"<!\[CDATA\[")
_LINE_END = re.compile(rb"[ \t]*(?:[\r\n\0]|\\+[nr]|$|[ \t]#)")
_TO_LINE_END = re.compile(rb"""[^\r\n\0"'\\`]*""")


def whole_name(data: bytes, start: int, name: bytes) -> tuple[int, str]:
    """The start of a name of which the search found the end, and the whole name."""
    before = data[max(0, start - 60) : start]
    found = _BEFORE.search(before)
    lead = found[0] if found else b""
    begin = start - len(lead)
    if begin and data[begin - 1] == 0x5C:  # in JSON, after \n or \u2018, whose last characters are letters or digits
        cut = 5 if lead[:1] == b"u" and len(lead) >= 5 else 1
        begin, lead = begin + min(cut, len(lead)), lead[cut:]
    return begin, (lead + name).decode("ascii", "replace")


def of_name(data: bytes, start: int, end: int) -> Verdict | None:
    """``name = value`` in any language, header, URL or configuration."""
    found = _NAME.match(data, start)
    if found is None:
        return None
    begin, name = whole_name(data, start, found["name"])
    kind = kind_of(name)
    if kind is Kind.NONE:
        return None
    mid, value_at = found["mid"], found.end()
    phrase = _PHRASE.match(data, value_at) if name.lower().endswith(_OF_WORDS) else None
    if phrase is not None:
        return Verdict((phrase.span(1),), phrase.end())
    if kind is Kind.LIKELY and not _NO_WORD.match(data, value_at):
        return None
    sign = mid.strip(b" \t\\\"'`)]*")
    is_escaped = _ENTITY.search(mid) is not None
    if is_escaped:
        sign = _ENTITY.sub(b"", sign)
    if sign in (b"?:", _WIDE_COLON):
        sign = b":"
    if b"value" in sign.lower():
        sign = sign[-1:]
    if sign.startswith(b":") or sign == b"":
        annotated = _ANNOTATION.match(data, value_at)
        if annotated:
            value_at = annotated.end()
    elif sign == b">" and not _TAG.search(data[max(0, begin - 120) : begin]):
        return None
    elif sign in (b",", b"("):
        if _QUOTE.match(data, value_at) is None:
            return None
        lead = data[max(0, begin - 24) : begin]
        is_told = (
            name.startswith("--") or _GETS.search(lead) is not None
            if sign == b","
            else _SETTER.search(name) is not None
        )
        is_argument = is_told and _ARGUMENT.match(data, value_at) is not None
        if kind is Kind.SURE and not is_argument and _SETS.search(lead) is None:
            kind = Kind.LIKELY
    elif sign in (b"||", b"??", b"or"):
        said = name.lower().encode() + data[max(0, begin - 24) : begin].lower()
        if b"env" not in said or _ARGUMENT.match(data, value_at) is None:
            return None
    if kind is Kind.HEADER:
        return _of_header(data, name, value_at)
    tight = sign.startswith(b"=") and b" " not in mid
    before = data[max(0, begin - 2) : begin]
    literal = (sign.startswith((b"=", b"%3", b"\\u003")) and b" " not in mid) and (
        name.isupper()
        or before[-1:] in (b"?", b"&", b";")
        or name.startswith("--")
        or b"amp;" in data[max(0, begin - 5) : begin]
        or is_escaped
        or _LISTED.match(data, value_at) is not None
        or _AFTER_PORT.search(data[max(0, begin - 160) : begin]) is not None
        or _PAIR_BEFORE.search(data[max(0, begin - 80) : begin]) is not None
    )
    return of_value(
        data,
        value_at,
        kind,
        tight=tight,
        literal=literal or sign == b">",
        colon=sign.startswith(b":"),
        said=b"is" in sign,
        shouted=tight and name.isupper(),
    )


def of_foreign_name(data: bytes, start: int, end: int) -> Verdict | None:
    """``密码: ...``, ``пароль: ...``: a value with a digit or a mark, since in a sentence a word would follow."""
    found = _FOREIGN.match(data, start)
    if found is None or not re.search(rb"[0-9!#$%&*+=@^~]", found[1]) or is_blank(found[1].decode("utf-8", "replace")):
        return None
    return Verdict((found.span(1),), found.end())


def of_refused_input(data: bytes, start: int, end: int) -> Verdict | None:
    """``input_value='...'`` in an error of pydantic, whose line before has the name."""
    found = _INPUT.match(data, start)
    named = _REFUSED.search(data[max(0, start - 300) : start]) if found is not None else None
    if found is None or named is None or kind_of(named[1].decode("ascii", "replace")) is not Kind.SURE:
        return None
    return None if is_blank(found[2].decode("utf-8", "replace")) else Verdict((found.span(2),), found.end())


def of_value(
    data: bytes,
    at: int,
    kind: Kind,
    *,
    tight: bool,
    literal: bool,
    colon: bool = False,
    said: bool = False,
    shouted: bool = False,
) -> Verdict | None:
    """The value that starts at ``at``, quoted or bare.

    :param kind: how much the name before it says.
    :param tight: there is no blank between name, sign and value.
    :param literal: the value is not code: it ends at a blank, and at nothing less.
    :param colon: name and value have a colon between them.
    :param said: a sentence says it: "the password is …".
    :param shouted: the name is in capitals.
    """
    wrapped = _WRAPPED.match(data, at)
    marked = (
        wrapped
        or _MEMBER.match(data, at)
        or (_OPENED.match(data, at) if colon else _CDATA.match(data, at) if literal else None)
    )
    if marked is not None:
        at = marked.end()
    opened = _QUOTE.match(data, at)
    if opened is not None:
        span = _quoted(data, opened)
        if span is None:
            return None
        value = data[span[0] : span[1]].decode("utf-8", "replace")
        followed = chr(data[span[1]]) if span[1] < len(data) else ""
        written = Written(quoted=True, tight=tight, literal=literal, alone=False, followed=followed)
        if not _DIGIT.search(value) and (wrapped is not None or (opened[2] == b"`" and not tight)):
            return None  # a list of names; Markdown, not a program
        if not is_secret_value(value, kind, written):
            return None
        spans = (span,) if wrapped is None else (span, *_others(data, span[1] + len(opened[1]) + len(opened[2])))
        return Verdict(spans, spans[-1][1])
    braced = _BRACED.match(data, at)
    if braced is not None and tight:
        return Verdict((braced.span(1),), braced.end())
    bare = _LINE.match(data, at, at + LONGEST) if colon or shouted else None
    if bare is None or _LINE_END.match(data, bare.end()) is None:
        bare = (_LITERAL if literal or colon else _BARE).match(data, at, at + LONGEST)
    if bare is None:
        return None
    stop = bare.end()
    alone = _LINE_END.match(data, stop) is not None
    if not alone and not literal:
        bare = _BARE.match(data, at, at + LONGEST)
        if bare is None:
            return None
        stop = bare.end()
    if not literal:
        stop = at + len(bare[0].rstrip(b".,:!?"))
    followed = chr(data[stop]) if stop < len(data) else ""
    text = data[at:stop].decode("utf-8", "replace")
    with_digit = _DIGIT.search(text) is not None
    if followed in ('"', "'", "\\") and with_digit:
        alone = True
    if said and not (with_digit and len(text) >= 6):
        return None
    literal = literal or (tight and followed in (";", "&"))
    written = Written(
        quoted=False, tight=tight, literal=literal, alone=alone and (colon or tight or with_digit), followed=followed
    )
    return Verdict(((at, stop),), stop) if is_secret_value(text, kind, written) else None


def _others(data: bytes, at: int) -> Iterator[Span]:
    """The further values of a list of which the first is a secret, up to one that is not quoted."""
    while (following := _NEXT.match(data, at)) and (opened := _QUOTE.match(data, following.end())):
        span = _quoted(data, opened)
        if span is None:
            return
        yield span
        at = span[1] + len(opened[1]) + len(opened[2])


def _quoted(data: bytes, opened: re.Match[bytes]) -> Span | None:
    """The text between quotes, at any depth of JSON in JSON: the closing quote is escaped like the opening one."""
    slashes, quote = len(opened[1]), opened[2]
    begin = opened.end()
    limit = min(len(data), begin + LONGEST)
    at = begin
    while True:
        at = data.find(quote, at, limit)
        if at < 0:
            break
        run = 0
        while at - run - 1 >= begin and data[at - run - 1] == 0x5C:
            run += 1
        if run % (2 * (slashes + 1)) == slashes:
            stop = at - slashes
            if len(quote) == 1 and b"\n" in data[begin:stop]:
                break
            return begin, stop
        at += 1
    # Truncated, or not closed: up to the next blank.
    bare = _LITERAL.match(data, begin, limit)
    return None if bare is None else bare.span()


_PAIR = re.compile(rb"\s*[A-Za-z0-9_.$%-]{1,100}=[^;\s]{4}")
_AUTH_SCHEME = re.compile(
    rb"(?i)[ \t]*(basic|bearer|token|digest|api-?key|aws4-hmac-sha256|negotiate|ntlm|ssws|geniekey|key|hawk|oauth|jwt|bot|apikey|splunk|shared(?:key|access\w*))[ \t:=]+"
)


def _of_header(data: bytes, name: str, at: int) -> Verdict | None:
    """``Authorization: scheme secret``, ``Cookie: name=secret; name=secret``."""
    opened = _QUOTE.match(data, at)
    if "cookie" in name.lower() and not _PAIR.match(data, at if opened is None else opened.end()):
        return of_value(data, at, Kind.LIKELY, tight=True, literal=False) if _NO_WORD.match(data, at) else None
    span: Span | None
    if opened is not None:
        span = _quoted(data, opened)
    else:
        line = _TO_LINE_END.match(data, at, at + LONGEST)
        span = line.span() if line else None
    if span is None or span[0] == span[1]:
        return None
    begin, stop = span
    scheme = _AUTH_SCHEME.match(data, begin, stop)
    text = data[begin : min(stop, begin + JUDGED)].decode("utf-8", "replace")
    if "cookie" in name.lower():
        pair = re.match(r"\s*[\w.$%-]+=([^;\s]{4,})", text)
        if pair is None or (opened is None and re.match(r"[\w.]+\(|[{\[(<$%]", pair[1])) or is_blank(pair[1]):
            return None
        return Verdict((span,), stop)
    if scheme is not None:
        rest = data[scheme.end() : min(stop, scheme.end() + JUDGED)].decode("utf-8", "replace")
        rest = rest.rstrip()
        if is_blank(rest):
            return None
        if " " in rest and "=" not in rest:
            word = rest.split(" ")[0]  # with something behind it, as in a log
            stop = scheme.end() + len(word.encode())
            return Verdict(((scheme.end(), stop),), stop) if len(word) >= 12 and _DIGIT.search(word) else None
        if opened is None and re.match(r"[\w.]+\(", rest):
            return None
        return Verdict(((scheme.end(), stop),), stop)
    # What follows a secret that was removed is none: it would have been removed, too.
    first = text.split(" ")[0].split(REDACTED)[0]
    return Verdict((span,), stop) if is_random(first, 12) or (opened is not None and is_random(first, 8)) else None


_SCHEME_WORD = re.compile(rb"(?i:(bearer)|(basic))[ \t]{1,4}([A-Za-z0-9+/._~=-]{12,4096})")


def of_scheme(data: bytes, start: int, end: int) -> Verdict | None:
    """``Bearer`` and ``Basic``, without a header name before them."""
    found = _SCHEME_WORD.match(data, start)
    if found is None:
        return None
    value = found[3]
    if found[1]:
        if not any(char in b"0123456789" for char in value) or len(value) < 16:
            return None
        return Verdict((found.span(3),), found.end())
    plain = decoded(value)
    if b":" in plain and plain.isascii() and plain.decode("ascii").isprintable():
        return Verdict((found.span(3),), found.end())
    return None


def decoded(text: bytes) -> bytes:
    """What a text in base64 stands for; empty if it is not base64."""
    text = text.rstrip(b"=").translate(_STANDARD)
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


_STANDARD = bytes.maketrans(b"-_", b"+/")
