"""What a client's answer says about a call: text, model, tokens.

In: what OpenAI's and Anthropic's clients return, as objects or as the equivalent JSON, the parts of a stream, or a text. Out:
arguments of :meth:`LLMCall.response`. On failure: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

USAGE = (
    *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"),
    *("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"),
    *("cache_read_input_tokens", "cache_creation_input_tokens"),
)
"""What a ``usage`` may have: OpenAI's completions, its Responses, Anthropic."""


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
        **tokens_of(_part(answer, "usage")),
    }
    return {name: value for name, value in told.items() if isinstance(value, (str, int)) and value != ""}


def told_by_stream(parts: Sequence[object]) -> dict[str, Any]:
    """The arguments that the parts of an answer yield: texts, OpenAI's chunks, or the events of its Responses or of Anthropic."""
    told: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        delta = _part(_first(_part(part, "choices")), "delta") or _part(part, "delta")
        if _part(part, "type") in (None, "content_block_delta", "response.output_text.delta"):
            pieces.append(_text(delta) or _text(_part(delta, "content")) or _text(_part(delta, "text")))
        for of in (part, _part(part, "message"), _part(part, "response"), delta):
            if not isinstance(of, str):
                told |= told_by(of)
                # OpenAI tells it in the last chunk; Anthropic the prompt's tokens in the first event, and the answer's in one of the last.
                counted = _part(of, "usage")
                usage |= {name: count for name in USAGE if (count := _part(counted, name)) is not None}
    told |= {name: count for name, count in tokens_of(usage).items() if count is not None}
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


def tokens_of(usage: object) -> dict[str, Any]:
    """The token counts of an answer's ``usage``, as arguments of :meth:`LLMCall.response`: each part is included in its whole."""
    asked = _part(usage, "prompt_tokens_details") or _part(usage, "input_tokens_details")
    answered = _part(usage, "completion_tokens_details") or _part(usage, "output_tokens_details")
    whole, read, written = (
        _count(usage, name) for name in ("prompt_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    # Proxies of OpenAI's completions tell an `input_tokens` of 0, too.
    if whole is None and (uncached := _count(usage, "input_tokens")) is not None:
        # Anthropic counts cached tokens separately.
        whole = uncached + (read or 0) + (written or 0)
    return {
        "input_tokens": whole,
        "output_tokens": _count(usage, "completion_tokens", "output_tokens"),
        "cached_tokens": read if (told := _count(asked, "cached_tokens")) is None else told,
        "cache_write_tokens": written
        if (told := _count(asked, "cache_write_tokens", "cache_creation_tokens")) is None
        else told,
        "reasoning_tokens": _count(answered, "reasoning_tokens"),
    }


def _count(of: object, *names: str) -> int | None:
    return next((found for found in (_part(of, name) for name in names) if type(found) is int), None)


def _first(of: object) -> Any:
    return of[0] if isinstance(of, (list, tuple)) and of else None


def _part(of: object, name: str) -> Any:
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
