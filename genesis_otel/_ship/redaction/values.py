"""Decides whether a value after a secret's name is a secret, and not a placeholder, a variable, a call or a form's label.

In: the value's text, how it is written, and what its name says. Out: yes or no. On failure: nothing here raises; only a
bounded part of a text is examined, so that the time stays linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from genesis_otel._ship.redaction.names import Kind

LONGEST = 4096
"""Maximum characters of a value that are replaced."""
JUDGED = 200
"""Characters of a value that are examined to judge it."""

_SEGMENTS = re.compile(r"[A-Za-z0-9]+")
_STEPS = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])|[A-Z](?=[A-Z]?[a-z][0-9A-Z])")

_BLANKS = re.compile(
    r"\$?\{\{?[^{}]{0,200}\}?\}|\$\([^)]{0,200}\)|\$[A-Za-z_]\w*|%\([^)]{0,100}\)[sdr]|%[sdr](?![A-Za-z0-9])|%[A-Za-z_]+%|<[^<>]{1,100}>|#\{[^}]{0,200}\}"
)
"""Placeholders in templates."""

_PLACEHOLDER = re.compile(
    r"(?i)[\W_]*(?:x{2,}|y{3,}|z{3,}|\.{2,}|…|\*+|-{2,}|n/?a|none|null|nil|true|false|undefined|todo|fixme|tbd|foo|bar|baz|qux|dummy|redacted|masked"
    r"|hidden|omitted|removed|\[redacted.*|(?:your|my|the|an?|some|insert|enter|add|put|replace|paste)[-_ ].*|.*[-_ ](?:here|goes[-_ ]here)"
    r"|sk-x+|sk-\.{2,}|(?:sk|pk|ghp|hf|gsk)[-_](?:your|my|x{3,}|\.{3}|\*{3}).*)[\W_]*"
)

FORM_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a access account admin adminpassword an and api app are as at auth authentication authorization basic be "
        "bearer bytes cannot change check client confirm cookie correct credential credentials current data default "
        "email empty enter error example expired failed field file for forgot form from generated get has hash header "
        "hidden if in incorrect input invalid is it key keys label length login match max min missing mismatch must "
        "my name new no not null of old on only or pass passphrase passwd password passwords please private prompt "
        "provided public pwd query read refresh regex repeat required reset root salt secret secrets service session "
        "set show sign string stringtype temp test text that the this to token tokens type unknown update url use "
        "user username valid validation value vault was weak with wrong your sub id env var variable csrf xsrf jwt "
        "oauth oauth2 sha md5 bcrypt argon2 plain none foo bar encrypted hashed options option arguments argument "
        "flag needed unused nothing include omit same origin object number boolean float int str any "
        "bool dict list optional callable self cls args kwargs param parameter",
    )
)
"""Words of forms, messages and types: a value made up only of these is not a secret."""

_TYPES = re.compile(
    r"(?i)(?:str|string|bytes?|int|integer|float|number|bool|boolean|any|object|none|null|nil|true|false|yes|no|on|off|optional|required|unknown|auto|default"
    r"|text|varchar|char|uuid|secretstr|password|pass|return|raise|self|cls|this|lambda|not|in|if|else|elif|for|while|and|or|is|with|as|try|finally|except|await|async|yield|del|def|class|import|from|new|let|var|const|final|public|static|void)"
)
_IDENTIFIER = re.compile(r"[A-Za-z_$@&*][\w$]*")
_REFERENCE = re.compile(r"[&*@$]?[A-Za-z_$][\w$]*(?:(?:\.|->|::|\?\.)[A-Za-z_$][\w$]*)+")
_PATH = re.compile(r"(?:\.{0,2}/|~/|[A-Za-z]:\\+|file:)[\w./\\ -]*")


_VALUE_WORDS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+\d?|[A-Z]+")
_CODE = re.compile(r"[&*]?[\w.]+[\[({]|[${<]|https?://|#")
_NAME = re.compile(r"_*[A-Za-z]+(?:[_-][A-Za-z]+)*")
_CONSONANTS = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{6}")
_DIGIT = re.compile("[0-9]")
_BLANK_STARTS = re.compile(r"[{$%<#]")
_NOT_WORD = re.compile(r"[\W_]")


class Written(NamedTuple):
    """How a value is written."""

    quoted: bool
    tight: bool
    """``name=value`` without spaces."""
    literal: bool
    """As in environments, URLs, options and ODBC, where a program's variables cannot occur."""
    alone: bool
    """Nothing follows on the same line."""
    followed: str
    """The character after it."""


def is_random(text: str, shortest: int = 16, *, strictly: bool = False) -> bool:
    """Whether a text has a run of characters that nobody would choose as a name.

    :param strictly: hexadecimal digits alone do not count: unless a name says otherwise, they are hashes.
    """
    for segment in _SEGMENTS.findall(text[:JUDGED]):
        if len(segment) < shortest:
            continue
        digits = len(_DIGIT.findall(segment))
        if digits < 2 or digits == len(segment):
            continue
        if _HEX.fullmatch(segment):
            if strictly:
                continue
            return True
        # In random text the character class changes at every second character, in names at every sixth.
        if len(_STEPS.findall(segment)) * (4 if strictly else 5) >= len(segment):
            return True
    return False


_HEX = re.compile("[0-9a-f]+|[0-9A-F]+")
_PARTS = re.compile(r"[A-Za-z0-9]{12,}")


def is_key(text: str) -> bool:
    """Whether what begins like a provider's key continues like one: with a run of characters that is not a word."""
    for part in _PARTS.findall(text):
        digits = len(_DIGIT.findall(part))
        if digits and digits < len(part) and (len(part) >= 20 or _HEX.fullmatch(part) or is_random(part, 12)):
            return True
    return False


def is_secret_value(value: str, kind: Kind, written: Written) -> bool:
    """Whether the value after a name of this kind, `LIKELY` or `SURE`, is a secret."""
    value = value[:JUDGED].strip().strip("\\")
    if kind is Kind.LIKELY and not _looks_like_a_secret(value, written):
        return False
    if not value or _PLACEHOLDER.fullmatch(value):
        return False
    if _BLANK_STARTS.search(value):
        rest = _BLANKS.sub("", value)
        if rest != value and len(_NOT_WORD.sub("", rest)) < 6:
            return False
    words = [word.lower() for word in _VALUE_WORDS.findall(value)]
    if words and not _DIGIT.search(value):
        if FORM_WORDS.issuperset(words):
            return False
        if len(words) > 1 and words[-1] in FORM_WORDS and _NAME.fullmatch(value):
            return False  # InvalidAllowCredentials: a descriptive name
    if kind is Kind.LIKELY:
        return True
    if written.quoted:
        return _is_quoted_secret(value, words)
    return _is_bare_secret(value, written)


def _looks_like_a_secret(value: str, written: Written) -> bool:
    if " " in value or _REFERENCE.fullmatch(value) or written.followed in ("(", "["):
        return False
    if is_random(value, 12) or (len(value) >= 20 and is_random(value, 8)):
        return True
    if written.quoted and len(value) >= 16 and value.isalnum() and _CONSONANTS.search(value):
        return True
    if written.literal and not written.quoted:
        return (
            len(value) >= 8
            and _DIGIT.search(value) is not None
            and not re.fullmatch(r"[A-Za-z]+[_-]?\d{1,2}|[\d.]+|\w+_\w+", value)
        )
    return False


def _is_quoted_secret(value: str, words: list[str]) -> bool:
    if _PATH.fullmatch(value) and len(value) > 1:
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9_]*_[A-Z0-9_]+", value) and words and words[-1] in FORM_WORDS:
        return False  # the name of an environment variable
    if " " in value:
        prose = sum(word in FORM_WORDS for word in words)
        return prose * 4 < max(1, len(words)) and not value.endswith((".", "!", "?", ":"))
    return not re.fullmatch(r"[\W_]*", value) or len(value) >= 6


_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def _is_mixed(value: str) -> bool:
    """Whether letters and digits alternate too often for words: those in variable names have five letters, and may end in a number."""
    if len(value) < 8 or not value.isalnum():
        return False
    named = _NUMBER.sub("", value)
    return len(_RUNS.findall(named)) * 3 >= len(named)


_NUMBER = re.compile(r"(?<=[a-z])[0-9]{1,2}$")


def _is_bare_secret(value: str, written: Written) -> bool:
    if written.followed in ("(", "["):
        return False
    if _PATH.fullmatch(value) or (_REFERENCE.fullmatch(value) and not (written.alone and _DIGIT.search(value))):
        return False
    if _CODE.match(value) or _TYPES.fullmatch(value) or re.fullmatch(r"[\W_]*", value):
        return False
    if re.fullmatch(r"0x[0-9a-fA-F]{1,8}|[\d.,]{1,3}|\d+\.\d+", value):
        return False
    if not _IDENTIFIER.fullmatch(value):
        return written.tight or written.alone or _DIGIT.search(value) is not None
    # It could be a variable.
    if _DIGIT.search(value) is not None:
        if re.fullmatch(r"[a-z]{1,5}_?\d{1,2}", value) or (re.search(r"_|[a-z][A-Z]", value) and not written.tight):
            return written.literal or is_random(value, 12) or (written.alone and _is_mixed(value))
        return written.literal or written.alone or is_random(value, 12)
    if written.literal or (written.tight and written.alone):
        return len(value) >= 3
    return written.alone and ((value.islower() and "_" not in value) or _is_mixed(value))
