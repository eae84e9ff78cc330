"""What a client's answer says about a call: text, model, tokens.

In: what OpenAI's and Anthropic's clients return, as objects or as the equivalent JSON, the chunks of a stream, or a text. Out:
arguments of :meth:`LLMCall.response`. On failure: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def told_by(answer: object) -> dict[str, Any]:
    """The arguments that an answer yields."""
    if isinstance(answer, str):
        return {"response": answer}
    choice = _first(_part(answer, "choices"))
    message = _part(choice, "message") or choice
    told = {
        "response": _text(_part(message, "content")) or _text(_part(choice, "text")) or _answer_text(answer),
        "reasoning": _part(message, "reasoning_content"),
        "model": _part(answer, "model"),
        "response_id": _part(answer, "id"),
        "finish_reason": _part(choice, "finish_reason") or _part(answer, "stop_reason"),
        **_tokens(_part(answer, "usage")),
    }
    return {name: value for name, value in told.items() if isinstance(value, (str, int)) and value != ""}


def told_by_stream(parts: Sequence[object]) -> dict[str, Any]:
    """The arguments that the parts of an answer yield: texts, or OpenAI's chunks."""
    told: dict[str, Any] = {}
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        choice = _first(_part(part, "choices"))
        pieces.append(_text(_part(_part(choice, "delta"), "content")))
        # The finish reason and the usage are in the last chunks.
        told |= told_by(part)
    return {**told, "response": "".join(pieces)} if pieces else told


def _answer_text(answer: object) -> str:
    """The text of an OpenAI Responses answer, or of an Anthropic message."""
    return _text(_part(answer, "output_text")) or _text(_part(answer, "content"))


def _text(content: object) -> str:
    """A text, or the texts in a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, (list, tuple)) else ()
    return "".join(text for text in (_part(each, "text") for each in blocks) if isinstance(text, str))


def _tokens(usage: object) -> dict[str, int | None]:
    asked = _part(usage, "prompt_tokens_details") or _part(usage, "input_tokens_details")
    answered = _part(usage, "completion_tokens_details") or _part(usage, "output_tokens_details")
    whole, read, written = (
        _count(usage, name) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    if whole is not None:
        # Anthropic counts cached tokens separately.
        whole += (read or 0) + (written or 0)
    return {
        "input_tokens": _count(usage, "prompt_tokens") if whole is None else whole,
        "output_tokens": _count(usage, "completion_tokens", "output_tokens"),
        "cached_tokens": read if asked is None else _count(asked, "cached_tokens"),
        "cache_write_tokens": written,
        "reasoning_tokens": _count(answered, "reasoning_tokens"),
    }


def _count(of: object, *names: str) -> int | None:
    return next((found for found in (_part(of, name) for name in names) if type(found) is int), None)


def _first(of: object) -> Any:
    return of[0] if isinstance(of, (list, tuple)) and of else None


def _part(of: object, name: str) -> Any:
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
