"""A search that makes two calls of each requested kind, with one client and the given instrumentations: run as a
separate process, since instrumentations apply to a process.

In: JSON as the only argument: ``client``, ``instrumentations``, ``ways``, ``url`` of the endpoint, ``spans``, the
output file. Out: that file, a length and an encoded span each, as they would reach the destination. On failure: a
traceback and exit code 1.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import genesis_otel
from genesis_otel import spans
from genesis_otel._ship.encoding.codec import encode
from genesis_otel.instrumentation.installed import CONTENT

SECRET = "sk-" + "proj-Zq8vK2mX7tR4wN9bL3hJ6cF1"
PROMPT = f"Is this program new? password={SECRET}"
SYSTEM = "You judge programs."
ASKED: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
CALLS = 2

INSTRUMENTATIONS = {
    "genai-openai": "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
    "openinference-openai": "openinference.instrumentation.openai:OpenAIInstrumentor",
    "traceloop-openai": "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
    "openinference-anthropic": "openinference.instrumentation.anthropic:AnthropicInstrumentor",
    "traceloop-anthropic": "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
    "openinference-langchain": "openinference.instrumentation.langchain:LangChainInstrumentor",
    "traceloop-langchain": "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
    "openinference-litellm": "openinference.instrumentation.litellm:LiteLLMInstrumentor",
    "openinference-gemini": "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
    "traceloop-gemini": "opentelemetry.instrumentation.google_generativeai:GoogleGenerativeAiInstrumentor",
    "openinference-mistral": "openinference.instrumentation.mistralai:MistralAIInstrumentor",
    "openinference-groq": "openinference.instrumentation.groq:GroqInstrumentor",
    "traceloop-groq": "opentelemetry.instrumentation.groq:GroqInstrumentor",
    "traceloop-cohere": "opentelemetry.instrumentation.cohere:CohereInstrumentor",
    "openinference-dspy": "openinference.instrumentation.dspy:DSPyInstrumentor",
}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {}}}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]


class ToFile(SpanExporter):
    """Writes the spans that it receives."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def export(self, exported: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append them."""
        with self._path.open("ab") as file:
            for each in exported:
                record = encode(each)
                file.write(len(record).to_bytes(4, "big") + record)
        return SpanExportResult.SUCCESS


def model_of(way: str, model: str = "gpt-4.1-mini") -> str:
    """The model to call."""
    return "refused" if way == "error" else f"openrouter/{model}" if way.startswith("charged") else model


def read(stream: Any) -> None:
    """Read a stream to its end."""
    for _ in stream:
        pass


# --- clients ----------------------------------------------------------------------------------------------------------


def openai(url: str, way: str) -> None:
    """OpenAI's client: chat completions, the Responses API, embeddings."""
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=SECRET, max_retries=0) as client:
        model = model_of(way)
        if way in ("stream", "charged-stream"):
            options: Any = {"include_usage": True}
            read(client.chat.completions.create(model=model, messages=ASKED, stream=True, stream_options=options))
        elif way == "responses":
            client.responses.create(model=model, instructions=SYSTEM, input=PROMPT)
        elif way == "responses-stream":
            read(client.responses.create(model=model, instructions=SYSTEM, input=PROMPT, stream=True))
        elif way == "embeddings":
            client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
        elif way == "charged-embeddings":
            client.embeddings.create(model="openrouter/text-embedding-3-small", input=PROMPT)
        elif way == "tools":
            client.chat.completions.create(model=model, messages=ASKED, tools=TOOLS)
        else:
            client.chat.completions.create(model=model, messages=ASKED)


def openai_async(url: str, way: str) -> None:
    """Its asynchronous client."""
    from openai import AsyncOpenAI

    async def call() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key=SECRET, max_retries=0) as client:
            model = model_of(way)
            if way in ("stream", "charged-stream"):
                options: Any = {"include_usage": True}
                stream: Any = await client.chat.completions.create(
                    model=model, messages=ASKED, stream=True, stream_options=options
                )
                async for _ in stream:
                    pass
            else:
                await client.chat.completions.create(model=model, messages=ASKED)

    asyncio.run(call())


def own(url: str, way: str) -> None:
    """`llm_call()` around it, given only the prompt."""
    with spans.llm_call(model_of(way), provider="openai", messages=ASKED, role="judge"):
        openai(url, way)


def own_told(url: str, way: str) -> None:
    """`llm_call()` around it, given the answer and the tokens."""
    with spans.llm_call(model_of(way), provider="openai", messages=ASKED) as call:
        openai(url, way)
        call.response("It is new.", input_tokens=1000, output_tokens=100, cached_tokens=400)


def anthropic(url: str, way: str) -> None:
    """Anthropic's client."""
    from anthropic import Anthropic

    with Anthropic(base_url=url, api_key=SECRET, max_retries=0) as client:
        asked: dict[str, Any] = {
            "model": model_of(way, "claude-opus-4-5"),
            "max_tokens": 2000,
            "system": SYSTEM,
            "messages": [{"role": "user", "content": PROMPT}],
        }
        if way == "stream":
            read(client.messages.create(**asked, stream=True))
        elif way == "tools":
            client.messages.create(**asked, tools=[{"name": "weather", "input_schema": {"type": "object"}}])
        elif way == "reasoning":
            client.messages.create(**asked, thinking={"type": "enabled", "budget_tokens": 1024})
        else:
            client.messages.create(**asked)


def gemini(url: str, way: str) -> None:
    """Google's client."""
    from google import genai
    from google.genai.types import GenerateContentConfig, HttpOptions

    with genai.Client(api_key=SECRET, http_options=HttpOptions(base_url=url)) as client:
        asked: dict[str, Any] = {
            "model": model_of(way, "gemini-2.5-flash"),
            "contents": PROMPT,
            "config": GenerateContentConfig(system_instruction=SYSTEM),
        }
        if way == "stream":
            read(client.models.generate_content_stream(**asked))
        else:
            client.models.generate_content(**asked)


def gemini_async(url: str, way: str) -> None:
    """The same, asynchronously."""
    from google import genai
    from google.genai.types import HttpOptions

    async def call() -> None:
        async with genai.Client(api_key=SECRET, http_options=HttpOptions(base_url=url)).aio as client:
            model = model_of(way, "gemini-2.5-flash")
            if way == "stream":
                async for _ in await client.models.generate_content_stream(model=model, contents=PROMPT):
                    pass
            else:
                await client.models.generate_content(model=model, contents=PROMPT)

    asyncio.run(call())


def mistral(url: str, way: str) -> None:
    """Mistral's client."""
    from mistralai.client import Mistral

    with Mistral(api_key=SECRET, server_url=url) as client:
        model = model_of(way, "codestral-2508")
        if way == "stream":
            read(client.chat.stream(model=model, messages=ASKED))
        else:
            client.chat.complete(model=model, messages=ASKED)


def groq(url: str, way: str) -> None:
    """Groq's client."""
    from groq import Groq

    with Groq(api_key=SECRET, base_url=url, max_retries=0) as client:
        model = model_of(way, "llama-3.3-70b-versatile")
        if way == "stream":
            read(client.chat.completions.create(model=model, messages=ASKED, stream=True))
        else:
            client.chat.completions.create(model=model, messages=ASKED)


def cohere(url: str, way: str) -> None:
    """Cohere's client."""
    from cohere import ClientV2

    with ClientV2(api_key=SECRET, base_url=url) as client:
        model = model_of(way, "command-r-plus-08-2024")
        if way == "stream":
            read(client.chat_stream(model=model, messages=ASKED))
        else:
            client.chat(model=model, messages=ASKED)


def litellm(url: str, way: str) -> None:
    """LiteLLM, which uses OpenAI's client."""
    import litellm

    asked: dict[str, Any] = {
        "model": f"openai/{model_of(way)}",
        "messages": ASKED,
        "api_base": f"{url}/v1",
        "api_key": SECRET,
        "num_retries": 0,
    }
    if way == "stream":
        read(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
    elif way == "embeddings":
        litellm.embedding(model="openai/text-embedding-3-small", input=[PROMPT], api_base=f"{url}/v1", api_key=SECRET)
    else:
        litellm.completion(**asked)


def litellm_async(url: str, way: str) -> None:
    """The same, asynchronously: its callback calls the operation otherwise then, and runs in the event loop after the call."""
    import litellm
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    at: dict[str, Any] = {"api_base": f"{url}/v1", "api_key": SECRET, "num_retries": 0}

    async def call() -> None:
        try:
            if way == "embeddings":
                await litellm.aembedding(model="openai/text-embedding-3-small", input=[PROMPT], **at)
            else:
                await litellm.acompletion(model=f"openai/{model_of(way)}", messages=ASKED, **at)
        finally:
            await GLOBAL_LOGGING_WORKER.flush()

    asyncio.run(call())


def langchain(url: str, way: str) -> None:
    """LangChain's chat model over OpenAI's client."""
    from langchain_openai import ChatOpenAI

    client: Any = ChatOpenAI(
        model=model_of(way),
        base_url=f"{url}/v1",
        api_key=SECRET,
        max_retries=0,
        stream_usage=True,
    )
    asked = [("system", SYSTEM), ("user", PROMPT)]
    if way == "stream":
        read(client.stream(asked))
    else:
        client.invoke(asked)


def pydantic_ai(url: str, way: str) -> None:
    """A pydantic-ai agent over OpenAI's client, with the spans that it creates itself."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(model_of(way), provider=OpenAIProvider(base_url=f"{url}/v1", api_key=SECRET))
    agent = Agent(model, system_prompt=SYSTEM)
    if way == "stream":

        async def stream() -> None:
            async with agent.run_stream(PROMPT) as answer:
                async for _ in answer.stream_text():
                    pass

        asyncio.run(stream())
    else:
        agent.run_sync(PROMPT)


def dspy(url: str, way: str) -> None:
    """DSPy's language model, over LiteLLM, over OpenAI's client."""
    import dspy

    model = dspy.LM(f"openai/{model_of(way)}", api_base=f"{url}/v1", api_key=SECRET, cache=False, num_retries=0)
    model(messages=ASKED)


CLIENTS: dict[str, Callable[[str, str], None]] = {
    "openai": openai,
    "openai-async": openai_async,
    "own": own,
    "own-told": own_told,
    "anthropic": anthropic,
    "gemini": gemini,
    "gemini-async": gemini_async,
    "mistral": mistral,
    "groq": groq,
    "cohere": cohere,
    "litellm": litellm,
    "litellm-async": litellm_async,
    "langchain": langchain,
    "pydantic-ai": pydantic_ai,
    "dspy": dspy,
}


def begin(name: str) -> None:
    """Start an instrumentation, or a framework's built-in one."""
    if name == "instrument()":
        genesis_otel.instrument()
    elif name == "pydantic-ai":
        from pydantic_ai import Agent

        Agent.instrument_all()
    elif name == "litellm-otel":
        import litellm
        from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

        litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter="console"))]
    elif name != "itself":
        module, kind = INSTRUMENTATIONS[name].split(":")
        getattr(importlib.import_module(module), kind)().instrument()


def main(told: dict[str, Any]) -> None:
    """Make each kind of call within an individual of a separate run; `thread` makes them in a thread without
    context."""
    os.environ.update({**CONTENT, "LITELLM_LOCAL_MODEL_COST_MAP": "True"})
    telemetry = genesis_otel.configure(exporter=ToFile(told["spans"]))
    for name in told["instrumentations"]:
        begin(name)
    call = CLIENTS[told["client"]]
    for way in told["ways"]:
        with genesis_otel.run("t", run_id=way) as run, run.generation(3) as generation:
            with generation.individual("ind"):
                for _ in range(CALLS):
                    make(call, told["url"], way)
                if told["client"].startswith("litellm"):
                    settle()
    telemetry.shutdown()


def make(call: Callable[[str, str], None], url: str, way: str) -> None:
    """Make one call; for the kind `error` the client raises."""
    try:
        if way == "thread":
            thread = threading.Thread(target=call, args=(url, way))
            thread.start()
            thread.join()
        else:
            call(url, way)
    except Exception:
        if way != "error":
            raise


def settle() -> None:
    """Wait for the work that LiteLLM has handed to its own threads."""
    from litellm.litellm_core_utils.thread_pool_executor import executor

    waiting = [executor.submit(time.sleep, 0.01) for _ in range(2 * executor._max_workers)]
    for each in waiting:
        each.result()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
