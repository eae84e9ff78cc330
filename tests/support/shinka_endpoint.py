"""A model on loopback for searches of ShinkaEvolve: it raises a number in a program, and makes the configured errors.

In: shinka's requests to OpenAI's endpoints for responses, chat completions and embeddings. Out: answers in shinka's
format, and a log of all requests: their purpose, the status, and the tokens that were counted. On failure: an unknown
path is a 404.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.answering import answering

INITIAL = """\
# EVOLVE-BLOCK-START
VALUE = 1.0
# EVOLVE-BLOCK-END


def value():
    return VALUE
"""

EVALUATE = """\
import argparse, json, pathlib, runpy, sys

told = argparse.ArgumentParser()
told.add_argument("--program_path")
told.add_argument("--results_dir")
told = told.parse_args()
print("evaluating", pathlib.Path(told.program_path).parent.name)
print("a word of warning", file=sys.stderr)
value = runpy.run_path(told.program_path)["value"]()
results = pathlib.Path(told.results_dir)
correct = value < 50
metrics = {"combined_score": value, "public": {"value": value, "smallness": -value}, "private": {"twice": 2 * value}}
(results / "metrics.json").write_text(json.dumps({**metrics, "text_feedback": "more"}))
(results / "correct.json").write_text(json.dumps({"correct": correct, "error": None if correct else "too large"}))
"""

THOUGHT = "<PROMPT>Thought {}: the number may be larger, and should not come near fifty.</PROMPT>"
"""Long enough to count as a prompt for shinka."""

KINDS: dict[str, Callable[[float], str]] = {
    "better": lambda value: f"{value + 1}",
    "worse": lambda value: f"{value - 1}",
    "crash": lambda value: "1 / 0",
    "wrong": lambda value: "99.0",
    "same": lambda value: f"{value}",
}
"""The effect on the program's number."""


@dataclass
class Request:
    """One request, as the endpoint received it."""

    path: str
    model: str
    kind: str
    status: int
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    prompt: str = ""


@dataclass
class Endpoint:
    """How it answers, and its requests."""

    proposals: tuple[str, ...] = ("better",)
    """The proposals, in turn: a kind of :data:`KINDS`, ``prose``, or a status such as ``429``."""
    novelty: tuple[str, ...] = ("NOVEL",)
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)
    on_request: Callable[[Request], None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, kind: str = "") -> list[Request]:
        """The answered requests, of one kind or of all."""
        return [each for each in self.requests if each.status == 200 and kind in ("", each.kind)]

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        messages = asked.get("messages") or asked["input"]
        if path == "/v1/embeddings":
            return self._embedding(path, asked)
        if path not in ("/v1/responses", "/v1/chat/completions"):
            return 404, {"error": {"message": f"no such path: {path}"}}
        prompt = "\n".join(each["content"] for each in messages)
        kind = kind_of(prompt)
        with self.lock:
            turn = self.turns[kind] = self.turns.get(kind, -1) + 1
        what = self.proposals[turn % len(self.proposals)] if kind == "proposal" else ""
        request = Request(path, asked["model"], kind, int(what) if what.isdigit() else 200, prompt=prompt)
        with self.lock:
            self.requests.append(request)
        self.on_request(request)
        if request.status != 200:
            return request.status, {"error": {"message": "not now", "type": "server_error"}}
        if kind == "proposal":
            text = proposal(prompt, what, turn)
        else:
            text = self.novelty[turn % len(self.novelty)] if kind == "novelty" else THOUGHT.format(turn)
        request.input_tokens, request.output_tokens = len(prompt) // 4, len(text) // 4 + 5
        request.cached_tokens, request.reasoning_tokens = 64, 5
        return 200, (_response if path == "/v1/responses" else _completion)(request, text)

    def _embedding(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        request = Request(path, asked["model"], "embedding", 200, sum(len(text) // 4 for text in texts))
        with self.lock:
            self.requests.append(request)
        data = [
            {"object": "embedding", "index": at, "embedding": [float(text.count(letter)) for letter in "0123456789.-/"]}
            for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": request.input_tokens, "total_tokens": request.input_tokens}
        return 200, {"object": "list", "model": asked["model"], "data": data, "usage": usage}


def kind_of(prompt: str) -> str:
    """The purpose of a prompt, recognised by its words."""
    if "NOT_NOVEL" in prompt:
        return "novelty"
    if "write an initial program" in prompt:
        return "proposal"
    return "proposal" if "EVOLVE-BLOCK-START" in prompt and "# Task" in prompt and "<NAME>" in prompt else "meta"


def proposal(prompt: str, kind: str, turn: int) -> str:
    """A patch in the format that the prompt requests."""
    if kind == "prose":
        return "I would leave it as it is."
    lines = re.findall(r"^VALUE = (.+)$", prompt.split("# Current program")[-1], re.MULTILINE)
    old = lines[0] if lines else "1.0"
    new = KINDS[kind](float(old) if re.fullmatch(r"-?[0-9.]+", old) else 1.0)
    head = f"<NAME>\n{kind}_{turn}\n</NAME>\n\n<DESCRIPTION>\nMake it {new}.\n</DESCRIPTION>\n\n"
    if "SEARCH/REPLACE" in prompt:
        return f"{head}<DIFF>\n<<<<<<< SEARCH\nVALUE = {old}\n=======\nVALUE = {new}\n>>>>>>> REPLACE\n\n</DIFF>"
    return f"{head}<CODE>\n```python\n{INITIAL.replace('1.0', new)}```\n</CODE>"


def _completion(request: Request, text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": request.input_tokens,
            "completion_tokens": request.output_tokens,
            "total_tokens": request.input_tokens + request.output_tokens,
            "prompt_tokens_details": {"cached_tokens": request.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": request.reasoning_tokens},
        },
    }


def _response(request: Request, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": request.model,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": request.input_tokens,
            "output_tokens": request.output_tokens,
            "total_tokens": request.input_tokens + request.output_tokens,
            "input_tokens_details": {"cached_tokens": request.cached_tokens},
            "output_tokens_details": {"reasoning_tokens": request.reasoning_tokens},
        },
    }


@contextlib.contextmanager
def serving(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Serve until the block ends."""
    # Shinka retries, not its client: so each request is a call.
    with answering(lambda path, headers, asked: endpoint.answer(path, asked), x_should_retry="false") as endpoint.url:
        yield endpoint
