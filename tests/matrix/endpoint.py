"""An endpoint on loopback with the protocols of OpenAI (also used by Mistral and Groq), Anthropic, Gemini and Cohere,
streamed and whole, whose answers are always the same.

In: requests of any client. Out: answers, each with its own id and the same usage (:data:`INPUT`, :data:`CACHED`,
:data:`OUTPUT`, :data:`REASONING`), a tool call if tools are offered, 400 for the model ``refused``, and for models of
``openrouter/`` the charge (:data:`CHARGED`). On failure: 404 for any other path.
"""

from __future__ import annotations

import itertools
import json
from http.server import ThreadingHTTPServer
from typing import Any

from tests.support.in_thread import Silent

INPUT, CACHED, OUTPUT, REASONING = 1000, 400, 100, 50
"""Tokens of each call; cached ones are part of the input, reasoning tokens part of the output."""
CHARGED = 0.0125
"""USD."""
ANSWER = "It is new."
THOUGHT = "Let me compare them."
REFUSED = "refused"
"""A model that the endpoint does not have."""


class Endpoint(ThreadingHTTPServer):
    """Counts the calls that it answered."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = 0
        self.numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(Silent):
    """One request."""

    server: Endpoint

    def do_POST(self) -> None:
        """Answer according to the path."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls += 1
        name = f"{next(self.server.numbers):06d}"
        # Gemini's model is in the path: /v1beta/models/NAME:METHOD.
        model, _, method = self.path.rpartition("/")[2].partition("?")[0].partition(":")
        if REFUSED in asked.get("model", model):
            error = {"type": "invalid_request_error", "message": "no such model", "code": "model_not_found"}
            self._send({"type": "error", "error": error}, status=400)
        elif self.path.endswith("/chat/completions"):
            self._events(chat_chunks(asked, name)) if asked.get("stream") else self._send(chat(asked, name))
        elif self.path.endswith("/responses"):
            self._events(response_events(asked, name)) if asked.get("stream") else self._send(response(asked, name))
        elif self.path.endswith("/embeddings"):
            self._send(embedding(asked))
        elif self.path.endswith("/messages"):
            self._events(message_events(asked, name)) if asked.get("stream") else self._send(message(asked, name))
        elif method.lower().endswith("generatecontent"):
            self._events(candidates(model, name)) if "stream" in method else self._send(candidate(model, name, ANSWER))
        elif self.path.endswith("/v2/chat"):
            self._events(cohere_events(name)) if asked.get("stream") else self._send(cohere_chat(name))
        else:
            self.send_error(404)

    def _send(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            named = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{named}data: {json.dumps(event)}\n\n".encode())
        if events[-1].get("object") == "chat.completion.chunk":
            self.wfile.write(b"data: [DONE]\n\n")


def _charge(asked: dict[str, Any]) -> dict[str, Any]:
    return {"cost": CHARGED, "is_byok": False} if asked["model"].startswith("openrouter/") else {}


def _model(asked: dict[str, Any]) -> str:
    return f"{asked['model'].removeprefix('openrouter/')}-2025-04-14" if "gpt" in asked["model"] else asked["model"]


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def _usage(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": REASONING},
        **_charge(asked),
    }


def chat(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """A whole chat completion."""
    said: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    if asked.get("tools"):
        function = {"name": asked["tools"][0]["function"]["name"], "arguments": '{"city": "Bern"}'}
        said |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
        if any(each["role"] == "tool" for each in asked["messages"]):
            said = {"role": "assistant", "content": ANSWER}
    reason = "tool_calls" if "tool_calls" in said else "stop"
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "created": 1,
        "model": _model(asked),
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        "usage": _usage(asked),
    }


def chat_chunks(asked: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The same as a stream; its usage comes last."""
    base = {"id": f"chatcmpl-{name}", "object": "chat.completion.chunk", "created": 1, "model": _model(asked)}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in ("It ", "is ", "new.")), {}]
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    chunks[-1] |= {"x_groq": {"usage": _usage(asked)}}  # Groq's place for it
    return [*chunks, {**base, "choices": [], "usage": _usage(asked)}]


def response(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """An answer of the Responses API."""
    text = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": _model(asked),
        "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": INPUT,
            "output_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
            "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens_details": {"reasoning_tokens": REASONING},
            **_charge(asked),
        },
    }


def response_events(asked: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The same as a stream."""
    whole = response(asked, name)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    delta = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": ANSWER, "logprobs": []}
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {"type": "response.output_text.delta", "sequence_number": 1, **delta},
        {"type": "response.completed", "sequence_number": 2, "response": whole},
    ]


def embedding(asked: dict[str, Any]) -> dict[str, Any]:
    """A vector."""
    vector = {"object": "embedding", "index": 0, "embedding": [0.125, 0.25]}
    usage = {"prompt_tokens": INPUT, "total_tokens": INPUT, **_charge(asked)}
    return {"object": "list", "model": asked["model"], "data": [vector], "usage": usage}


# --- Anthropic --------------------------------------------------------------------------------------------------------

MESSAGE_USAGE = {
    "input_tokens": INPUT - CACHED,
    "cache_read_input_tokens": CACHED,
    "cache_creation_input_tokens": 0,
    "output_tokens": OUTPUT,
}


def message(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """A whole message."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": ANSWER}]
    if asked.get("thinking"):
        parts = [{"type": "thinking", "thinking": THOUGHT, "signature": "s"}, *parts]
    if asked.get("tools"):
        parts = [{"type": "tool_use", "id": "toolu_1", "name": asked["tools"][0]["name"], "input": {"city": "Bern"}}]
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": parts,
        "stop_reason": "tool_use" if asked.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
    }


def message_events(asked: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The same as a stream."""
    whole = message(asked, name)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**MESSAGE_USAGE, "output_tokens": 1}}
    text = {"type": "text", "text": ""}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": OUTPUT},
        },
        {"type": "message_stop"},
    ]


# --- Gemini -----------------------------------------------------------------------------------------------------------


def candidate(model: str, name: str, text: str, *, last: bool = True) -> dict[str, Any]:
    """A whole answer, or a piece of one. Thinking tokens are counted beside the answer's tokens, not among them."""
    usage = {
        "promptTokenCount": INPUT,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": OUTPUT - REASONING,
        "thoughtsTokenCount": REASONING,
        "totalTokenCount": INPUT + OUTPUT,
    }
    said = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    return {
        "candidates": [{**said, "finishReason": "STOP"} if last else said],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": f"gem_{name}",
    }


def candidates(model: str, name: str) -> list[dict[str, Any]]:
    """The same as a stream; each piece has the usage so far."""
    words = ("It ", "is ", "new.")
    return [candidate(model, name, word, last=word == words[-1]) for word in words]


# --- Cohere -----------------------------------------------------------------------------------------------------------

COHERE_USAGE = {
    "billed_units": {"input_tokens": INPUT, "output_tokens": OUTPUT},
    "tokens": {"input_tokens": INPUT, "output_tokens": OUTPUT},
}


def cohere_chat(name: str) -> dict[str, Any]:
    """A whole answer of its API version 2."""
    said = {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    return {"id": f"co_{name}", "finish_reason": "COMPLETE", "message": said, "usage": COHERE_USAGE}


def cohere_events(name: str) -> list[dict[str, Any]]:
    """The same as a stream."""
    empty = {"message": {"content": {"type": "text", "text": ""}}}
    begun = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
    return [
        {"type": "message-start", "id": f"co_{name}", "delta": begun},
        {"type": "content-start", "index": 0, "delta": empty},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": ANSWER}}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}},
    ]
