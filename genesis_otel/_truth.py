"""The words for true and false in variables of the environment.

In: a variable's text. Out: what it says, or None. On failure: nothing here raises.
"""

from __future__ import annotations

WORDS = {
    **dict.fromkeys(("true", "1", "yes", "y", "on", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "off", "f"), False),
}


def truth(text: str | None) -> bool | None:
    """Whether ``text`` says true or false, in whatever case; None if it says neither."""
    return WORDS.get((text or "").strip().lower())
