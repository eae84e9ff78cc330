"""Decides which parts of a span are content: prompts, answers, code and texts that may hold a secret.

In: attribute names and values. Out: whether they are content, and the values redacted, truncated or without content. On failure: a
text that could not be redacted is replaced as a whole; nothing here raises.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import DEEPEST, MOST, cut, to_json
from genesis_otel._log import warn_once
from genesis_otel._ship.encoding.attribute_text import TOO_DEEP, value_text
from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.redact import Redact, recognised
from genesis_otel._ship.redaction.verdict import REDACTED

# --- what is content --------------------------------------------------------------------------------------------------

CONTENT = frozenset(
    {
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_OUTPUT_MESSAGES,
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.evaluation.explanation",
        "gen_ai.prompt",
        "gen_ai.completion",
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
        # OpenInference's retrievers, rerankers and tools
        "document.content",
        "reranker.query",
        "tool.parameters",
        # pydantic-ai, current and older formats, and logfire
        "events",
        "all_messages_events",
        "pydantic_ai.all_messages",
        "final_result",
        "model_request_parameters",
        "tool_arguments",
        "tool_response",
        "request_data",
        "response_data",
        # Langfuse, Google's Agent Development Kit
        "langfuse.observation.input",
        "langfuse.observation.output",
        "langfuse.trace.input",
        "langfuse.trace.output",
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_call_args",
        "gcp.vertex.agent.tool_response",
        "gcp.vertex.agent.data",
    }
)
CONTENT_PREFIXES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts",
    "llm.completions",
    "llm.choices.",
    "llm.function_call",
    "llm.prompt_template.",
    "embedding.embeddings.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
)
RAW = re.compile(
    r"llm\.(?!(?:request|response|usage|token_count|cost)\.)[^.]+"
    r"\.(?:messages|prompt|input|system|contents|choices|output|content|candidates|data|tools)"
)
"""Names under which LiteLLM repeats a request and its answer: ``llm.openai.messages``, ``llm.anthropic.content``."""
NO_CONTENT = frozenset({"gen_ai.prompt.name", "gen_ai.prompt.version"})

MESSAGE_EVENTS = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    }
)
"""Events that are content, except for these attributes:"""
MESSAGE_EVENT_KEPT = frozenset(
    {"gen_ai.system", names.GEN_AI_PROVIDER_NAME, "role", "index", "finish_reason", "id", "event.name"}
)

EXCEPTION_TEXTS = frozenset({"exception.message", "exception.stacktrace"})

OWN_TEXTS: dict[str, tuple[str, ...]] = {
    names.RECORD_RUN: (names.RUN_CONFIG, names.RUN_ERROR),
    names.RECORD_GENERATION: (names.GENERATION_METADATA,),
    names.RECORD_INDIVIDUAL: (
        names.INDIVIDUAL_CODE,
        names.INDIVIDUAL_METRICS,
        names.INDIVIDUAL_METADATA,
        names.LINEAGE_EDIT_SUMMARY,
    ),
    names.RECORD_LINEAGE: (names.LINEAGE_EDIT_SUMMARY,),
    names.RECORD_EVALUATION: (names.EVALUATION_DETAILS, names.EVALUATION_METADATA, names.EVALUATION_OUTPUT),
    names.RECORD_ACTION: (names.ACTION_DETAILS, names.ACTION_METADATA),
    names.RECORD_PARETO_FRONT: (),
}
"""The attributes of our own records that may hold a secret."""

OTHER_TEXTS = (names.LLM_METADATA,)

OWN_JSON = (
    names.EVALUATION_DETAILS,
    names.EVALUATION_METADATA,
    names.INDIVIDUAL_METADATA,
    names.ACTION_DETAILS,
    names.ACTION_METADATA,
    names.LLM_METADATA,
)
CONTENT_FIELDS = frozenset(
    {
        "llm_result",
        "messages",
        "prompt",
        "prompts",
        "response",
        "responses",
        "completion",
        "thought",
        "msg",
        "system_msg",
        "new_msg_history",
    }
)
"""Fields under which searches put prompts and answers into the details and metadata of their actions."""


IDENTIFIERS = (".id", "_id", ".ids", "_ids", "_hash", ".number")
"""Suffixes of names whose values join rows: those are never changed."""

BETWEEN = "\n\0\n"
"""Separates texts that are searched together: no recognised secret can span it."""


TEXTS = (str, tuple, list, Mapping, bytes)
"""Attribute values that hold text: also mappings, which are stored as JSON, and bytes, which are stored as Base64."""


LONGEST_OPTION, LONGEST_ARGUMENT, MOST_ARGUMENTS, COMMAND = 64, 400, 1000, 8
"""Of a list of arguments: the characters of an option and of its value, the items that are judged, and how many of them together."""


def is_content(name: str) -> bool:
    return (
        name in CONTENT
        or (name.startswith(CONTENT_PREFIXES) and name not in NO_CONTENT)
        or (name.startswith("llm.") and RAW.fullmatch(name) is not None)
    )


def clean(attributes: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Replacements for those of ``attributes`` that hold secrets, whichever instrumentation put them there."""
    texts = {}
    changed: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.endswith(IDENTIFIERS):
            continue
        hidden = _hidden_by(name, value)
        if hidden is not value:
            changed[name] = hidden
        elif isinstance(value, TEXTS):
            texts[name] = value
    if redact is not recognised or any(map(has_names, texts.values())) or not is_clean(strings(texts.values())):
        for name, value in texts.items():
            cleaned = redacted(value, redact)
            if cleaned != value:
                changed[name] = cleaned
    for name in attributes:
        if is_secret_itself(name):
            changed[recognised(name)] = changed.get(name, attributes[name])
            changed[name] = None
    return changed


@lru_cache(maxsize=4096)
def is_secret_itself(name: str) -> bool:
    """Whether the name of an attribute is a secret, as in a count of calls by key."""
    return not name.endswith(IDENTIFIERS) and recognised(name) is not name


def is_clean(texts: Iterable[str]) -> bool:
    """Whether none of the texts holds a secret: one search of all takes as long as one of a single text."""
    joined = BETWEEN.join(texts)
    return recognised(joined) is joined


def strings(values: Iterable[Any]) -> Iterator[str]:
    """The strings among values, including those in lists; a mapping is one string, its JSON."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from strings(value)
        elif isinstance(value, Mapping):
            yield value_text(value)
        elif isinstance(value, bytes):
            yield value.decode(errors="replace")


def has_names(value: Any, levels: int = DEEPEST) -> bool:
    """Whether something in a value can say of another that it is a secret (the names in a mapping, an option among arguments, the first
    of a pair), or it is nested too deeply to say."""
    if isinstance(value, (tuple, list)):
        return (
            levels == 0
            or _is_pair(value)
            or any(_is_option(one) if isinstance(one, str) else has_names(one, levels - 1) for one in value)
        )
    return isinstance(value, Mapping)


def _is_option(text: str) -> bool:
    return text[:1] == "-" and len(text) <= LONGEST_OPTION and " " not in text


def _is_pair(values: Sequence[Any]) -> bool:
    return (
        len(values) == 2
        and isinstance(values[0], str)
        and isinstance(values[1], str)
        and kind_of(values[0]) is not Kind.NONE
    )


def _hidden_by(name: str, value: Any) -> Any:
    """A value under a name that says that it is a secret, or may be one if it looks like it; otherwise the same object."""
    kind = kind_of(name)
    if kind is Kind.NONE or value is None or isinstance(value, bool):
        return value
    hidden = _hidden(value) if kind >= Kind.SURE else _hidden_if_random(value)
    return value if hidden == value else hidden


def _hidden(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(_hidden(one) for one in value)
    # As in a text, a number of six digits is one that somebody chose; `pass@1`, `n_pass` and `secrets` count or score.
    is_chosen = type(value) is int and value >= 100_000
    return REDACTED if is_chosen or (value and isinstance(value, TEXTS)) else value


def _hidden_if_random(value: Any) -> Any:
    # Imported only for such a name: its expressions take time to compile.
    from genesis_otel._ship.redaction.values import ALONE, is_secret_value

    if isinstance(value, (tuple, list)):
        return tuple(_hidden_if_random(one) for one in value)
    return REDACTED if isinstance(value, str) and is_secret_value(value, Kind.LIKELY, ALONE) else value


def _is_too_deep(value: Any, levels: int = DEEPEST) -> bool:
    if not isinstance(value, (tuple, list, Mapping)):
        return False
    within = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_too_deep(one, levels - 1) for one in within)


def bounded(value: Any) -> tuple[Any, int]:
    """An attribute value with texts truncated to :data:`MOST` characters, and the number of characters left out; a mark instead of one
    that is nested too deeply to be written."""
    if isinstance(value, str):
        return cut(value) if len(value) > MOST else (value, 0)
    if _is_too_deep(value):
        return TOO_DEEP, 0
    if isinstance(value, (Mapping, bytes)):
        kept, left_out = bounded(value_text(value))
        return (kept, left_out) if left_out else (value, 0)
    if not isinstance(value, (tuple, list)):
        return value, 0
    parts = [bounded(one) for one in value]
    left_out = sum(each for _, each in parts)
    return (tuple(kept for kept, _ in parts), left_out) if left_out else (value, 0)


def redacted(value: Any, redact: Redact | None) -> Any:
    """A value without secrets; a mapping in which a text holds any becomes its JSON."""
    if redact is None:
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (tuple, list)):
        return _beside(value, tuple(redacted(one, redact) for one in value), redact)
    if isinstance(value, Mapping):
        value = _by_name(value)
    elif not isinstance(value, bytes):
        return value
    (told,) = strings((value,))
    kept = redact(told)
    return value if kept == told else kept


def _beside(values: Sequence[Any], cleaned: tuple[Any, ...], redact: Redact) -> tuple[Any, ...]:
    """The cleaned items of a list without those that are secrets by what precedes them: ``("--password", "...")``."""
    if _is_pair(values):
        return (cleaned[0], _hidden_by(values[0], cleaned[1]))
    texts = [one if isinstance(one, str) and len(one) <= LONGEST_ARGUMENT else "" for one in values[:MOST_ARGUMENTS]]
    found = {
        at
        for at in range(1, len(texts))
        if _is_option(texts[at - 1])
        and texts[at][:1] not in ("", "-")
        and cleaned[at] == texts[at]
        and not redact(" ".join(texts[max(0, at - COMMAND) : at + 1])).endswith(texts[at])
    }
    return tuple(REDACTED if at in found else one for at, one in enumerate(cleaned)) if found else cleaned


def _by_name(value: Any) -> Any:
    """A value in which members of mappings are hidden if their names say that they are secrets."""
    if isinstance(value, Mapping):
        return {name: _hidden(of) if kind_of(str(name)) >= Kind.SURE else _by_name(of) for name, of in value.items()}
    return tuple(map(_by_name, value)) if isinstance(value, (tuple, list)) else value


def surely(redact: Redact) -> Redact:
    """``redact``, except that if it raises, or returns something else than a text, the whole text is redacted."""

    def surely(text: str) -> str:
        try:
            found = redact(text)
        except Exception as error:
            pass_on(error)
            # Without what it says: that may quote the text.
            place = traceback.extract_tb(error.__traceback__)[-1]
            warn_once(
                "redact",
                "A text could not be redacted and is left out: %s in %s, line %s",
                type(error).__name__,
                place.filename,
                place.lineno,
            )
            return REDACTED
        if isinstance(found, str):
            return found
        warn_once("redacted", "A redactor returned %s instead of a text, which is left out", type(found).__name__)
        return REDACTED

    return surely


def without_content(text: object) -> object:
    """Details or metadata of an action without prompts and answers."""
    if not isinstance(text, str) or not any(f'"{field}"' in text for field in CONTENT_FIELDS):
        return text
    try:
        return to_json(_pruned(json.loads(text)))
    except (ValueError, RecursionError):
        return None


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(of) for name, of in value.items() if name not in CONTENT_FIELDS}
    return [_pruned(of) for of in value] if isinstance(value, list) else value
