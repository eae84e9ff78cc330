"""Messages of LLM calls in OpenTelemetry's format: ``{"role": ..., "parts": [...]}``.

In: what clients take and return: a text, dicts in OpenAI's or Anthropic's style, objects with such fields. Out: JSON for
``gen_ai.input.messages`` and ``gen_ai.output.messages``. On failure: a message that does not fit is kept unchanged;
nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import ITEM, MOST, plain, quoted, to_json
from genesis_otel._emit.values import text

LARGE = MOST // 4
"""Characters of messages that are written as they come; more are looked at, item by item, for where they have to be cut."""

READABLE = frozenset({"role", "content", "tool_calls", "tool_call_id"})
"""The fields of a message that can become parts; a message with any other field is kept unchanged."""


def input_messages(messages: object, *, exact: bool = False) -> str:
    """The prompt as JSON; a text becomes the user's message.

    :param exact: only plain texts become parts, so that the original messages can be restored exactly.
    """
    written = _texts(messages)
    if written is not None:
        return written
    if isinstance(messages, str):
        return to_json([{"role": "user", "parts": [text_part(messages)]}])
    if isinstance(messages, Mapping):
        messages = [messages]
    try:
        simple = plain(messages)
    except Exception as error:
        pass_on(error)
        simple = text(messages)
    if isinstance(simple, list):
        return to_json([message(one) if _fits(one, exact) else one for one in simple])
    return to_json(simple) if isinstance(simple, dict) else text(simple)


def _texts(messages: object) -> str | None:
    """Messages that are texts, and small enough to be kept whole, as JSON at once: to copy and check them takes longer than that."""
    came = [{"role": "user", "content": messages}] if type(messages) is str else messages
    if type(came) is not list:
        return None
    written, left = [], LARGE
    for one in came:
        if type(one) is not dict or len(one) != 2:
            return None
        role, content = one.get("role"), one.get("content")
        if type(role) is not str or type(content) is not str:
            return None
        left -= len(role) + len(content) + ITEM
        if left < 0:
            return None
        written.append(f'{{"role": {quoted(role)}, "parts": [{{"type": "text", "content": {quoted(content)}}}]}}')
    return text(f"[{', '.join(written)}]")


def _fits(came: object, exact: bool) -> bool:
    return isinstance(came, dict) and (
        not exact or (set(came) == {"role", "content"} and isinstance(came["content"], str))
    )


def output_messages(response: object, reasoning: object = "", finish_reason: str = "") -> str:
    """The answer as JSON, with its reasoning as a separate part; anything but text becomes JSON text."""
    if type(response) is str and 0 < len(response) < LARGE and type(reasoning) is str and not reasoning:
        reason = f', "finish_reason": {quoted(finish_reason)}' if finish_reason else ""
        part = f'{{"type": "text", "content": {quoted(response)}}}'
        return text(f'[{{"role": "assistant", "parts": [{part}]{reason}}}]')
    parts: list[dict[str, Any]] = []
    for kind, content in (("reasoning", reasoning), ("text", response)):
        written = content if isinstance(content, str) else ("" if content is None else _written(content))
        if written:
            parts.append({"type": kind, "content": str.__str__(written)})
    if not parts:
        return ""
    answer: dict[str, Any] = {"role": "assistant", "parts": parts}
    if finish_reason:
        answer["finish_reason"] = finish_reason
    return to_json([answer])


def message(came: dict[str, Any]) -> dict[str, Any]:
    """One message with parts, or unchanged."""
    content, calls = came.get("content"), came.get("tool_calls")
    if "role" not in came or not READABLE.issuperset(came) or not isinstance(content, (str, list, type(None))):
        return came
    if "tool_call_id" in came:
        # A tool's answer is one part, whatever it contains.
        answer = {"type": "tool_call_response", "id": came["tool_call_id"], "response": content}
        return came if calls else {"role": came["role"], "parts": [answer]}
    parts = [text_part(content)] if isinstance(content, str) else [part(one) for one in content or ()]
    return {"role": came["role"], "parts": parts + [tool_call(one) for one in calls or ()]}


def text_part(content: str) -> dict[str, Any]:
    """A text as a part."""
    return {"type": "text", "content": str.__str__(content)}


def part(came: object) -> Any:
    """An OpenAI or Anthropic part as OpenTelemetry's, if it is plain text."""
    if isinstance(came, str):
        return text_part(came)
    if isinstance(came, dict) and set(came) == {"type", "text"} and isinstance(came["text"], str):
        return text_part(came["text"])
    return came


def tool_call(came: object) -> Any:
    """A function call in OpenAI's style as a part, with its arguments as the original text."""
    if isinstance(came, dict) and set(came) == {"id", "type", "function"}:
        function = came["function"]
        if isinstance(function, dict) and set(function) == {"name", "arguments"}:
            return {"type": "tool_call", "id": came["id"], **function}
    return came


def _written(content: object) -> str:
    simple = plain(content)
    return to_json(simple) if isinstance(simple, (dict, list)) else text(content)
