"""A model for Genesis' searches on loopback, with a log of its requests, with which calls, tokens and refusals are
compared.

In: requests of OpenAI's client for chat completions and embeddings. Out: answers in Genesis' formats, in turn a better
program, one that raises, one that fails its tests, one that kills its job, and prose. On failure: requests that are
configured to be refused are refused, once.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from tests.support.answering import answering

SEED = "# EVOLVE-BLOCK-START\nVALUE = 1\n# EVOLVE-BLOCK-END\nprint('value', VALUE, end='')\n"
EVALUATE = """
import argparse, json, os, pathlib, runpy, sys
told = argparse.ArgumentParser()
told.add_argument("--program_path"); told.add_argument("--results_dir")
told = told.parse_args()
# Genesis loses a first program whose output has a line break: its UPDATE does not escape the JSON.
print(os.environ.get("TRACEPARENT", ""), end=" ")
print("a warning", end="", file=sys.stderr)
error, score = None, 0.0
try:
    score = runpy.run_path(told.program_path)["VALUE"]
except Exception as raised:
    error = str(raised)
correct = error is None and score >= 0
if error is None and not correct:
    error, score = "Validation failed: negative", 0.25
size = len(pathlib.Path(told.program_path).read_text())
metrics = {"combined_score": float(score), "public": {"size": size}, "private": {"half": score / 2}}
folder = pathlib.Path(told.results_dir)
(folder / "metrics.json").write_text(json.dumps(metrics))
(folder / "correct.json").write_text(json.dumps({"correct": correct, "error": error}))
"""
TURNS = ("2", "1 / 0", "3", "-1", None, "4", "__import__('os')._exit(3)", "2")
"""What the programs print, in turn; None is an answer without a program."""


@dataclass
class Question:
    """One request, as the endpoint received it."""

    kind: str
    model: str
    status: int
    is_retry: bool
    """Whether OpenAI's client itself repeats the request: for its caller that is the same call."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Account:
    """The requests, and what is to happen at which of them."""

    url: str = ""
    questions: list[Question] = field(default_factory=list)
    refusals: dict[int, int] = field(default_factory=dict)
    """Status by the number of the request."""
    hooks: dict[int, Callable[[], object]] = field(default_factory=dict)
    """Called when the request of that number has arrived and has not been answered yet."""
    programs: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def calls(self, kind: str, *, answered: bool) -> list[Question]:
        """The client's calls, whether they were answered in the end or not."""
        return [each for each in self.questions if each.kind == kind and (each.status == 200) == answered]

    def answer(self, path: str, headers: Message, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        kind = "embeddings" if path.endswith("embeddings") else "chat"
        with self.lock:
            number = len(self.questions)
            status = self.refusals.get(number, 200)
            retry = headers.get("x-stainless-retry-count", "0") != "0"
            question = Question(kind, asked["model"], status, retry)
            self.questions.append(question)
            if status == 200:
                answer = _embedding(asked, question) if kind == "embeddings" else self._completion(asked, question)
            else:
                answer = {"error": {"message": "refused", "type": "refused"}}
        self.hooks.get(number, lambda: None)()
        return status, answer

    def _completion(self, asked: dict[str, Any], question: Question) -> dict[str, Any]:
        prompt = "\n".join(str(each["content"]) for each in asked["messages"])
        content = "A summary."
        if "SEARCH/REPLACE" in prompt or "EVOLVE-BLOCK" in asked["messages"][0]["content"]:
            value = TURNS[self.programs % len(TURNS)]
            self.programs += 1
            content = "I had rather not." if value is None else _program(asked["messages"], value)
        question.prompt_tokens, question.completion_tokens = len(prompt) // 4, len(content) // 4
        usage = {"prompt_tokens": question.prompt_tokens, "completion_tokens": question.completion_tokens}
        return {
            "id": f"chatcmpl-{len(self.questions)}",
            "object": "chat.completion",
            "created": 0,
            "model": asked["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
            "usage": {**usage, "total_tokens": sum(usage.values()), "prompt_tokens_details": {"cached_tokens": 3}},
        }


@contextlib.contextmanager
def serving() -> Iterator[Account]:
    """Serve until the block ends."""
    account = Account()
    with answering(account.answer, retry_after_ms="1") as account.url:
        yield account


def _program(messages: list[dict[str, Any]], value: str) -> str:
    about = "<NAME>\nanother_value\n</NAME>\n<DESCRIPTION>\nAnother value.\n</DESCRIPTION>\n"
    if "SEARCH/REPLACE" not in messages[0]["content"]:
        code = SEED.replace("VALUE = 1", f"VALUE = {value}")
        return f"{about}<CODE>\n```python\n{code}```\n</CODE>"
    asked = next(each["content"] for each in messages if each["role"] == "user")
    (before, *_) = re.findall(r"^VALUE = .*$", asked, re.MULTILINE)
    return f"{about}<DIFF>\n<<<<<<< SEARCH\n{before}\n=======\nVALUE = {value}\n>>>>>>> REPLACE\n\n</DIFF>"


def _embedding(asked: dict[str, Any], question: Question) -> dict[str, Any]:
    text = "".join(asked["input"])
    question.prompt_tokens = len(text) // 4
    vector = [1.0 + text.count(each) for each in "0123456789"]
    return {
        "object": "list",
        "model": asked["model"],
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": question.prompt_tokens, "total_tokens": question.prompt_tokens},
    }
