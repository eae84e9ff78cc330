"""Secrets out of text.

In: prompts, responses, code, configurations. Out: the same with what looks like a key or a password replaced by
``[REDACTED]``; JSON stays JSON. On failure: a pattern that is no regular expression raises ValueError when the redactor is
made; a redactor itself does not fail, and takes time in proportion to the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

Redact = Callable[[str], str]

REDACTED = "[REDACTED]"

# Where a word begins; in JSON also after an escape (\\n, \\u2018), whose last character is a letter or a digit.
START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))"

# Each pattern stands behind texts that it cannot do without: looking for these is a hundred times faster. No pattern
# begins with a repetition and none repeats without bound over what another part matches too, so that none is slow.
PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    # OpenAI (sk-, sk-proj-), Anthropic (sk-ant-), OpenRouter (sk-or-)
    (("sk-",), re.compile(START + r"sk-(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{20,}"), REDACTED),
    (("AKIA", "ASIA"), re.compile(START + r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"), REDACTED),
    (
        ("aws_secret", "AWS_SECRET", "SecretAccessKey"),
        re.compile(r"((?:aws_secret\w{0,16}|AWS_SECRET\w{0,16}|SecretAccessKey)[\\\"'\s:=]{1,16})[A-Za-z0-9/+]{40}"),
        r"\1" + REDACTED,
    ),
    # Google: API keys and access tokens
    (("AIza",), re.compile(r"AIza[0-9A-Za-z_-]{35}"), REDACTED),
    (("ya29.",), re.compile(r"ya29\.[0-9A-Za-z_-]{20,}"), REDACTED),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"gh[pousr]_[A-Za-z0-9]{36,}"), REDACTED),
    (("github_pat_",), re.compile(r"github_pat_[A-Za-z0-9_]{22,}"), REDACTED),
    (("hf_",), re.compile(START + r"hf_[A-Za-z0-9]{30,}"), REDACTED),
    (
        ("earer ", "EARER "),
        re.compile(
            r"(" + START + r"[Bb](?:earer|EARER) {1,4})(?=[A-Za-z._~+/-]{0,64}[0-9])[A-Za-z0-9._~+/-]{16,}={0,2}"
        ),
        r"\1" + REDACTED,
    ),
    (
        ("PRIVATE KEY-----",),
        re.compile(
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----"
            r"(?:[^-]{0,16384}-----END [A-Z ]{0,32}PRIVATE KEY-----|(?:\\[nr]|[A-Za-z0-9+/=\s])*)"
        ),
        REDACTED,
    ),
    # https://user:password@host
    (("://",), re.compile(r"(://[^/\s:@\"'\\]{0,256}:)[^@/\s\"'\\]{1,256}@"), r"\1" + REDACTED + "@"),
)
"""Texts of which one must occur, the pattern, and what takes its place."""

HINTS = tuple(hint for hints, _, _ in PATTERNS for hint in hints)
"""Where none of these is in a text, no pattern matches."""

SECRET_NAMES = re.compile(
    r"(?:api_?key|passwd|password|secret|secret_?key|access_?key|private_?key|auth_?token|access_?token|credentials?)$",
    re.IGNORECASE,
)
"""Names of settings whose values are secrets, whatever they look like."""


def redactor(patterns: Iterable[str] = (), *, defaults: bool = True) -> Redact:
    """A function that redacts a text: by :data:`PATTERNS`, and by regular expressions of one's own.

    :raises ValueError: one of ``patterns`` is no regular expression.
    """
    own = []
    for pattern in patterns:
        try:
            own.append(re.compile(pattern))
        except (re.error, TypeError) as error:
            raise ValueError(f"the redaction pattern {pattern!r} is not a valid regular expression: {error}") from None

    def redact(text: str) -> str:
        if defaults:
            for hint in HINTS:
                if hint in text:
                    for needed, compiled, instead in PATTERNS:
                        if any(each in text for each in needed):
                            text = compiled.sub(instead, text)
                    break
        for compiled in own:
            text = compiled.sub(REDACTED, text)
        return text

    return redact


def without_secrets(settings: str) -> str:
    """A configuration in JSON, the values of settings that are called like secrets replaced. No JSON stays as it is."""
    if not SECRET_HINT.search(settings):
        return settings
    try:
        return json.dumps(_without(json.loads(settings)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return settings


SECRET_HINT = re.compile(r"key|passw|secret|token|credential", re.IGNORECASE)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if isinstance(of, str) and of and SECRET_NAMES.search(name) else _without(of)
            for name, of in value.items()
        }
    return [_without(of) for of in value] if isinstance(value, list) else value
