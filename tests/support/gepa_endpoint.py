"""A model on loopback for searches of GEPA that counts its requests and answers with their tokens.

``gpt-4.1`` reflects: it makes the instruction in the request longer, and in turn worse. Any other model reports how
many words its instructions have. One request in so many is refused once with a 500, and one request of the reflecting
model always with a 400.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.answering import answering

REFLECTING = "gpt-4.1"
INSTRUCTION = re.compile(r"```\n(.*?)\n```|\[\[ ## current_instruction ## \]\]\n(.*?)\n\n", re.DOTALL)


@dataclass
class Endpoint:
    """The requests and answers."""

    url: str = ""
    refuse_every: int = 0
    """One request in this many is refused; 0 refuses none."""
    hopeless: int = -1
    """The number of the reflection that is refused however often it is repeated."""
    answered: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Model, id, prompt tokens and answer tokens."""
    refused: list[int] = field(default_factory=list)
    """The statuses."""
    reflections: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        model, messages = request["model"], request["messages"]
        asked = "\n".join(str(each["content"]) for each in messages)
        with self.lock:
            number = len(self.answered) + len(self.refused)
            if model == REFLECTING and asked not in self.reflections:
                self.reflections.append(asked)
            if model == REFLECTING and self.reflections.index(asked) == self.hopeless:
                return self._refuse(400)
            if self.refuse_every and number % self.refuse_every == self.refuse_every - 1:
                return self._refuse(500)
            text = self._text(model, messages, asked)
            tokens = len(asked.split()), len(text.split())
            name = f"chatcmpl-{number}"
            self.answered.append((model, name, *tokens))
        return 200, {
            "id": name,
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        }

    def _refuse(self, status: int) -> tuple[int, dict[str, Any]]:
        self.refused.append(status)
        return status, {"error": {"message": "refused", "type": "server_error", "code": None}}

    def _text(self, model: str, messages: list[dict[str, Any]], asked: str) -> str:
        if model != REFLECTING:
            return f"[[ ## answer ## ]]\n{len(str(messages[0]['content']).split())}\n\n[[ ## completed ## ]]"
        found = INSTRUCTION.search(str(messages[-1]["content"]))
        instruction = (found[1] or found[2]) if found else "Think"
        turn = self.reflections.index(asked)
        text = "a" if turn % 4 == 3 else f"{instruction} more{turn}"
        if "`new_instruction`" in asked:  # DSPy's prompt format
            return json.dumps({"new_instruction": text})
        return f"```\n{text}\n```"


@contextmanager
def serving(refuse_every: int = 0, hopeless: int = -1) -> Iterator[Endpoint]:
    """Serve until the block ends."""
    endpoint = Endpoint(refuse_every=refuse_every, hopeless=hopeless)
    # Otherwise clients wait for a second or more before they retry.
    with answering(lambda path, headers, asked: endpoint.answer(asked), retry_after_ms="1") as endpoint.url:
        yield endpoint
