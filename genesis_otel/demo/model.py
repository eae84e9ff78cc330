"""A stand-in for a model: an OpenAI-compatible endpoint on loopback, for the demo and the tests.

In: what OpenEvolve or ShinkaEvolve asks about the demo's circle packing, over HTTP. Out: answers in its format, as diffs or whole
programs, that mostly improve the program and sometimes worsen, shorten, copy, misspell or miss it; token counts;
latencies; now and then a 429 or a 500. The number of the question determines the kind of answer, the question its
content. On failure: anything that is not such a question gets a 400 or 404, as from the real endpoint.
"""

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genesis_otel.demo import edits

Kind = Callable[[str, int], list[edits.Edit]]

TURNS: dict[int, Kind] = {
    4: edits.misspell,
    8: edits.worsen,
    9: edits.shorten,
    14: edits.worsen,
    15: edits.divide,
    17: edits.miss,
    18: edits.shorten,
}
"""The kind of answer for each question in a cycle of twenty; all others improve the program."""
COPY_TURN, PROSE_TURN = 6, 11
"""Questions whose answer is an earlier program, or nothing but prose."""
FAILURES = {2: (429, 1), 13: (500, 2)}
"""Questions whose first attempts fail, and how many do. OpenAI's client retries once by itself, then OpenEvolve
does."""
SLOW_TURN = 12
"""The question whose answer takes several times as long as usual."""
CYCLE = 20

_PROGRAM = re.compile(
    r"^# (?:Current [Pp]rogram|Incorrect Program to Fix)\n(?:(?!```)[^\n]*\n)*```\w*\n(.*?)\n?^```$",
    re.MULTILINE | re.DOTALL,
)
"""The program in a question: OpenEvolve's, or ShinkaEvolve's, which has a sentence above it."""


@contextlib.contextmanager
def serving(pace: float = 1.0, port: int = 0) -> Iterator[str]:
    """Serve until the block ends; yields the base URL for a client.

    :param pace: how slow to be: 1 answers mostly in 60 to 240 ms, 0 at once.
    """
    server = _Server(pace, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo-model", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pace: float, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.pace = pace
        self.questions = 0
        self.turns: dict[tuple[str, object], int] = {}
        self.refusals: dict[tuple[str, object], int] = {}
        self.programs: list[str] = []
        self.last_prompt: dict[str, str] = {}
        self.lock = threading.Lock()

    def answer(self, request: dict[str, Any], asker: object) -> tuple[int, dict[str, Any]]:
        """Status and body for one question of ``asker``, who repeats it when it is refused."""
        messages = request.get("messages") or request["input"]
        prompt = "\n".join(f"{each['role']}: {each['content']}" for each in messages)
        digest = hashlib.sha256(f"{request['model']} {prompt}".encode()).hexdigest()
        choice = int(digest[:8], 16)
        with self.lock:
            # Two workers may ask the same question at once.
            asked = (digest, asker)
            turn = self.turns.get(asked)
            if turn is None:
                turn = self.turns[asked] = self.questions % CYCLE
                self.questions += 1
                self.refusals[asked] = FAILURES.get(turn, (0, 0))[1]
            refused = self.refusals[asked] > 0
            if refused:
                self.refusals[asked] -= 1
            else:
                del self.turns[asked]  # if it is asked again, it counts as a new question
            cached = _tokens(_common_start(prompt, self.last_prompt.get(request["model"], ""))) // 128 * 128
            text = "" if refused else self._text(prompt, turn, choice)
            self.last_prompt[request["model"]] = prompt
        time.sleep(self.pace * (0.02 if refused else _seconds(turn, choice)))
        if refused:
            return FAILURES[turn][0], _refusal("The server is overloaded.", "server_error")
        build = _completion if "messages" in request else _response
        return 200, build(request["model"], prompt, text, cached, digest)

    def _text(self, prompt: str, turn: int, choice: int) -> str:
        found = _PROGRAM.search(prompt)
        if not found and "NOVEL" in prompt:
            return "NOVEL: the two programs place their circles differently."
        if not found:
            return "There is no program in the question that I could improve."
        code = found[1] + "\n" if not found[1].endswith("\n") else found[1]
        if turn == PROSE_TURN:
            return "The program is well structured. I would keep it as it is and measure where its time goes first."
        if edits.is_broken(code):
            turn = -1  # a broken program is always repaired first
        others = [each for each in self.programs if each != code]
        if turn == COPY_TURN and others:
            changes = edits.copy(code, others[choice % len(others)])
        else:
            changes = TURNS.get(turn, edits.improve)(code, choice) or edits.improve(code, choice)
        if code not in self.programs:
            self.programs.append(code)
        patch = _as_diff(changes) if "SEARCH/REPLACE" in prompt else _as_program(code, changes)
        return _as_patch(changes, patch) if "<NAME>" in prompt else patch


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path in ("/v1/chat/completions", "/v1/responses"):
                # A client retries over the same connection.
                self._send(*self.server.answer(json.loads(body), self.client_address))
            elif self.path == "/v1/embeddings":
                self._send(*_embeddings(json.loads(body)))
            else:
                self._send(404, _refusal(f"no such path: {self.path}"))
        except (ValueError, KeyError, TypeError) as error:
            self._send(400, _refusal(f"not what {self.path} takes: {error!r}"))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in (429, 500):
            self.send_header("retry-after-ms", "30")
        # A search that was stopped no longer waits for its answer.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the spans record it."""


def _refusal(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": None}}


def _embeddings(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The letters of each text, counted: similar texts have similar embeddings."""
    texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
    vectors = [[text.count(letter) / (len(text) or 1) for letter in "etaoinsr()[]=+"] for text in texts]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    tokens = sum(map(_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return 200, {"object": "list", "model": request["model"], "data": data, "usage": usage}


def _as_diff(changes: list[edits.Edit]) -> str:
    blocks = (
        f"{each.why}\n\n<<<<<<< SEARCH\n{each.find.rstrip()}\n=======\n{each.put.rstrip()}\n>>>>>>> REPLACE"
        for each in changes
    )
    return "\n\n".join(blocks)


def _as_program(code: str, changes: list[edits.Edit]) -> str:
    why = " ".join(each.why for each in changes)
    return f"{why}\n\n```python\n{edits.applied(code, changes)}```"


def _as_patch(changes: list[edits.Edit], patch: str) -> str:
    """In ShinkaEvolve's format: with a name and a description."""
    why = " ".join(each.why for each in changes)
    name = "_".join(re.findall(r"[a-z]+", why.lower())[:5])
    return f"<NAME>\n{name}\n</NAME>\n\n<DESCRIPTION>\n{why}\n</DESCRIPTION>\n\n{patch}"


def _seconds(turn: int, choice: int) -> float:
    return (0.06 + choice % 181 / 1000) * (6 if turn == SLOW_TURN else 1)


def _tokens(text: str) -> int:
    return len(text) // 4


def _common_start(one: str, other: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _completion(model: str, prompt: str, text: str, cached: int, digest: str) -> dict[str, Any]:
    asked, answered = _tokens(prompt), _tokens(text)
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": f"{model}-2025-04-14" if model.startswith("gpt-4.1") else model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _response(model: str, prompt: str, text: str, cached: int, digest: str) -> dict[str, Any]:
    """The same answer in the format of OpenAI's newer endpoint."""
    completion = _completion(model, prompt, text, cached, digest)
    usage = completion["usage"]
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {
        "type": "message",
        "id": f"msg_{digest[:24]}",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    return {
        "id": f"resp_{digest[:24]}",
        "object": "response",
        "created_at": completion["created"],
        "status": "completed",
        "model": completion["model"],
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens_details": usage["completion_tokens_details"],
        },
    }
