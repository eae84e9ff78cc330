"""Prices: however a model is named, it costs what the price list says; own prices and self-hosted models take precedence."""

from __future__ import annotations

import contextlib
import math
import random
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from genesis_otel import configure
from genesis_otel._store import providers
from genesis_otel._store.own_prices import own_price_of, read_own_prices
from genesis_otel._store.prices import price_of
from genesis_otel._store.tokens import Tokens
from genesis_otel._store.unit_prices import listed_prices

DAY = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
TOKENS = Tokens(100_000, 20_000, 30_000, 5_000)


def listed(provider: str, model: str, tokens: Tokens = TOKENS, moment: datetime = DAY) -> float:
    """The library's own answer for a model under its own name."""
    read, write = tokens.cache_read, tokens.cache_write
    usage = Usage(
        input_tokens=tokens.input, output_tokens=tokens.output, cache_read_tokens=read, cache_write_tokens=write
    )
    return float(calc_price(usage, model, provider_id=provider, genai_request_timestamp=moment).total_price)


# --- names ------------------------------------------------------------------------------------------------------------

NAMES = """
openai gpt-4o = openai gpt-4o
openai openai/gpt-4o = openai gpt-4o
- openai:gpt-4o = openai gpt-4o
- GPT-4o-Mini = openai gpt-4o-mini
openai gpt-4o-2024-05-13 = openai gpt-4o-2024-05-13
openai gpt-4o-2024-11-20 = openai gpt-4o
openai gpt-4.1-nano-2025-04-14 = openai gpt-4.1-nano
openai gpt-5.2-20251211 = openai gpt-5.2
openai chatgpt-4o-latest = openai chatgpt-4o-latest
openai o4-mini = openai o4-mini
openai openai/o3-mini-high = openai o3-mini
openai text-embedding-3-small = openai text-embedding-3-small
- text-embedding-3-large = openai text-embedding-3-large
openai ft:gpt-4o-mini-2024-07-18:acme::AbC1 = openai ft:gpt-4o-mini-2024-07-18:acme
openai ft:gpt-4o-2024-08-06:acme:packing:AbC1 = openai ft:gpt-4o-2024-08-06:acme
openai openai/ft:gpt-3.5-turbo-0125:acme::AbC1 = openai ft:gpt-3.5-turbo-0125:acme
litellm ft:gpt-3.5-turbo-1106:acme::AbC1 = openai ft:gpt-3.5-turbo-1106
openai ft:gpt-4.1-mini-2025-04-14:acme::AbC1 = unknown
somebody's-proxy gpt-4o = openai gpt-4o
litellm gpt-4o = openai gpt-4o
openai litellm_proxy/gpt-4o = openai gpt-4o
openai litellm_proxy/anthropic/claude-sonnet-4-5 = anthropic claude-sonnet-4-5
anthropic claude-sonnet-4-5-20250929 = anthropic claude-sonnet-4-5
anthropic claude-3-5-sonnet-latest = anthropic claude-3-5-sonnet
openai claude-3-7-sonnet-20250219 = anthropic claude-3-7-sonnet-latest
- anthropic/claude-opus-4-1-20250805 = anthropic claude-opus-4-1
- anthropic:claude-haiku-4-5 = anthropic claude-haiku-4-5
- anthropic/claude-sonnet-4.5 = anthropic claude-sonnet-4.5
- claude-opus-4-20250514 = anthropic claude-opus-4-20250514
openrouter openai/gpt-4o = openrouter openai/gpt-4o
openrouter anthropic/claude-sonnet-4.5 = openrouter anthropic/claude-sonnet-4.5
openrouter anthropic/claude-4.5-haiku-20251001 = openrouter anthropic/claude-haiku-4.5
openrouter openrouter/anthropic/claude-3.7-sonnet:thinking = openrouter anthropic/claude-3.7-sonnet
openrouter openai/gpt-4o:nitro = openrouter openai/gpt-4o
openrouter meta-llama/llama-3.3-70b-instruct:floor = openrouter meta-llama/llama-3.3-70b-instruct
openrouter deepseek/deepseek-r1:free = openrouter deepseek/deepseek-r1:free
openai openrouter/deepseek/deepseek-chat-v3.1 = openrouter deepseek/deepseek-chat-v3.1
openai openrouter/google/gemini-2.5-flash = openrouter google/gemini-2.5-flash
litellm openrouter/qwen/qwen3-coder = openrouter qwen/qwen3-coder
openai meta-llama/llama-3.3-70b-instruct = openrouter meta-llama/llama-3.3-70b-instruct
- x-ai/grok-4 = x-ai grok-4
- z-ai/glm-4.6 = zai glm-4.6
- google/gemini-2.5-pro = google gemini-2.5-pro
- mistralai/mistral-large-2411 = mistral mistral-large-2411
azure gpt-4o = azure gpt-4o
azure.ai.openai gpt-4o-2024-08-06 = azure gpt-4o-2024-08-06
az.ai.openai gpt-4.1-mini = azure gpt-4.1-mini
azure azure/gpt-4o-mini = azure gpt-4o-mini
openai azure/gpt-4o = azure gpt-4o
openai azure/eu/gpt-4o-2024-08-06 = azure gpt-4o-2024-08-06
openai azure/global-standard/gpt-4o-mini = azure gpt-4o-mini
azure gpt-35-turbo = azure gpt-35-turbo
azure gpt-35-turbo-0125 = azure gpt-3.5-turbo-0125
azure.ai.inference phi-4 = azure phi-4
openai azure_ai/deepseek-v3.2 = azure deepseek-v3.2
azure our-deployment = unknown
aws.bedrock anthropic.claude-3-5-sonnet-20241022-v2:0 = aws anthropic.claude-3-5-sonnet-20241022-v2:0
aws.bedrock us.anthropic.claude-sonnet-4-5-20250929-v1:0 = aws us.anthropic.claude-sonnet-4-5-20250929-v1:0
aws.bedrock global.anthropic.claude-sonnet-4-5-20250929-v1:0 = aws global.anthropic.claude-sonnet-4-5-20250929-v1:0
- us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0 = aws us.anthropic.claude-sonnet-4-5-20250929-v1:0
- jp.anthropic.claude-haiku-4-5-20251001-v1:0 = aws us.anthropic.claude-haiku-4-5-20251001-v1:0
- ca.anthropic.claude-sonnet-4-5-20250929-v1:0 = aws us.anthropic.claude-sonnet-4-5-20250929-v1:0
- eu.meta.llama3-2-3b-instruct-v1:0 = aws meta.llama3-2-3b-instruct-v1:0
- us.deepseek.r1-v1:0 = aws deepseek.r1-v1:0
- apac.amazon.nova-pro-v1:0 = aws amazon.nova-pro-v1:0
- us.amazon.nova-premier-v1:0 = aws amazon.nova-premier-v1:0
- us.mistral.pixtral-large-2502-v1:0 = aws mistral.pixtral-large-2502-v1:0
- us.writer.palmyra-x5-v1:0 = aws writer.palmyra-x5-v1:0
- amazon.titan-embed-text-v2:0 = aws amazon.titan-embed-text-v2:0
- openai.gpt-oss-120b-1:0 = aws openai.gpt-oss-120b-1:0
- qwen.qwen3-coder-480b-a35b-v1:0 = aws qwen.qwen3-coder-480b-a35b-v1:0
- google.gemma-3-27b-it = aws google.gemma-3-27b-it
- nvidia.nemotron-nano-9b-v2:0 = aws nvidia.nemotron-nano-9b-v2:0
- anthropic.claude-3-haiku-20240307-v1:0:48k = aws anthropic.claude-3-haiku-20240307-v1:0
- amazon/nova-lite-v1 = aws amazon.nova-lite-v1:0
openai bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0 = aws us.anthropic.claude-3-5-sonnet-20241022-v2:0
openai bedrock/eu-central-1/anthropic.claude-3-haiku-20240307-v1:0 = aws anthropic.claude-3-haiku-20240307-v1:0
openai bedrock/us-gov-west-1/meta.llama3-70b-instruct-v1:0 = aws meta.llama3-70b-instruct-v1:0
openai bedrock/converse/eu.amazon.nova-micro-v1:0 = aws amazon.nova-micro-v1:0
openai bedrock_converse/mistral.mistral-large-2402-v1:0 = aws mistral.mistral-large-2402-v1:0
- bedrock:us.anthropic.claude-opus-4-1-20250805-v1:0 = aws us.anthropic.claude-opus-4-1-20250805-v1:0
- arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0 = aws us.anthropic.claude-sonnet-4-5-20250929-v1:0
- arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0 = aws amazon.nova-lite-v1:0
- arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/meta.llama3-8b-instruct-v1:0 = aws meta.llama3-8b-instruct-v1:0
- arn:aws-cn:bedrock:cn-north-1:123456789012:inference-profile/apac.amazon.nova-pro-v1:0 = aws amazon.nova-pro-v1:0
AWS claude-3-5-sonnet-20241022-v2:0 = aws anthropic.claude-3-5-sonnet-20241022-v2:0
AWS llama3-1-70b-instruct-v1:0 = aws meta.llama3-1-70b-instruct-v1:0
AWS mistral-large-2402-v1:0 = aws mistral.mistral-large-2402-v1:0
AWS mixtral-8x7b-instruct-v0:1 = aws mistral.mixtral-8x7b-instruct-v0:1
AWS gpt-oss-120b-1:0 = aws openai.gpt-oss-120b-1:0
AWS gpt-4o = unknown
aws.bedrock arn:aws:bedrock:us-west-2::foundation-model/deepseek.r1-v1:0 = aws deepseek.r1-v1:0
openai bedrock/arn:aws:bedrock:us-west-2::foundation-model/writer.palmyra-x4-v1:0 = aws writer.palmyra-x4-v1:0
- arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl = unknown
aws.bedrock arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl = unknown
gcp.gemini gemini-2.5-pro = google gemini-2.5-pro
gcp.gemini models/gemini-2.5-flash = google gemini-2.5-flash
- models/gemini-2.0-flash = google gemini-2.0-flash
gemini gemini-1.5-pro-002 = google gemini-1.5-pro
google gemini-2.5-flash-lite = google gemini-2.5-flash-lite
- gemini/gemini-2.5-pro = google gemini-2.5-pro
- google-gla:gemini-2.5-flash = google gemini-2.5-flash
- google-vertex:gemini-2.5-pro = google gemini-2.5-pro
gcp.vertex_ai google/gemini-2.0-flash-001 = google gemini-2.0-flash-001
- vertex_ai/gemini-2.5-pro = google gemini-2.5-pro
- vertex_ai/claude-sonnet-4-5@20250929 = google claude-sonnet-4-5
- vertex_ai/claude-3-5-sonnet-v2@20241022 = google claude-3-5-sonnet
google_vertexai gemma-2-27b-it = google gemma-2-27b-it
gcp.vertex_ai claude-opus-4-1@20250805 = google claude-opus-4-1
gcp.vertex_ai claude-haiku-4-5@default = google claude-haiku-4-5
- publishers/google/models/gemini-2.5-flash = google gemini-2.5-flash
- projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro = google gemini-2.5-pro
- projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929 = google claude-sonnet-4-5
gcp.vertex_ai projects/p/locations/l/endpoints/123 = unknown
groq llama-3.3-70b-versatile = groq llama-3.3-70b-versatile
groq openai/gpt-oss-120b = groq openai/gpt-oss-120b
openai groq/openai/gpt-oss-120b = groq openai/gpt-oss-120b
openai groq/meta-llama/llama-4-scout-17b-16e-instruct = groq meta-llama/llama-4-scout-17b-16e-instruct
together_ai meta-llama/Llama-3.3-70B-Instruct-Turbo = together meta-llama/Llama-3.3-70B-Instruct-Turbo
openai together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo = together meta-llama/Llama-3.3-70B-Instruct-Turbo
fireworks_ai accounts/fireworks/models/deepseek-v3p2 = fireworks accounts/fireworks/models/deepseek-v3p2
- fireworks_ai/accounts/fireworks/models/gpt-oss-20b = fireworks accounts/fireworks/models/gpt-oss-20b
- accounts/fireworks/models/glm-5p1 = fireworks accounts/fireworks/models/glm-5p1
fireworks kimi-k2p5 = fireworks accounts/fireworks/models/kimi-k2p5
deepseek deepseek-chat = deepseek deepseek-chat
- deepseek/deepseek-reasoner = deepseek deepseek-reasoner
mistral_ai mistral-large-latest = mistral mistral-large-latest
mistralai mistral-small-latest = mistral mistral-small-latest
- mistral/codestral-latest = mistral codestral-latest
x_ai grok-4-latest = x-ai grok-4
xai grok-3-mini = x-ai grok-3-mini
- xai/grok-4-0709 = x-ai grok-4-0709
perplexity sonar-pro = perplexity sonar-pro
- perplexity/sonar-reasoning-pro = perplexity sonar-reasoning-pro
cohere command-a-03-2025 = cohere command-a
- cohere_chat/command-r-plus-08-2024 = cohere command-r-plus
- moonshot/kimi-k2-0905-preview = moonshotai kimi-k2-0905-preview
- zai/glm-4.6 = zai glm-4.6
- minimax/MiniMax-M2 = minimax MiniMax-M2
- cerebras/gpt-oss-120b = cerebras gpt-oss-120b
- voyage/voyage-3-large = voyageai voyage-3-large
- github_copilot/gpt-5-mini = github-copilot gpt-5-mini
- databricks/databricks-llama-4-maverick = databricks databricks-llama-4-maverick
- @cf/meta/llama-3.1-8b-instruct = cloudflare @cf/meta/llama-3.1-8b-instruct
- cloudflare/@cf/openai/gpt-oss-20b = cloudflare @cf/openai/gpt-oss-20b
openai Qwen/Qwen3-8B = unknown
openai mistralai/Mistral-7B-Instruct-v0.3 = unknown
openai deepseek-r1:8b = unknown
openai deepseek-r1-distill-qwen-7b = unknown
deepinfra deepseek-ai/DeepSeek-V3 = unknown
nvidia meta/llama-3.3-70b-instruct = unknown
openai gpt-99 = unknown
groq gpt-4o = unknown
"""
"""Provider as told (``-``: nothing) and model; provider and model as the price list has them."""

FORMS = [line.split(" = ") for line in NAMES.strip().splitlines()]


def _meant(pair: str) -> float:
    provider, model = pair.split(" ")
    return listed(provider, model)


@pytest.mark.parametrize(("told", "meant"), FORMS, ids=[told for told, _ in FORMS])
def test_a_model_costs_the_same_under_each_of_its_names(told: str, meant: str) -> None:
    """Cost and source are those of the intended model and provider; if these are unknown, 0 and `unknown-model`.
    The list for Python 3.10 is the last that supports it, and has fewer models."""
    provider, model = told.split(" ", 1)
    expected: Any = 0.0, "unknown-model"
    with contextlib.suppress(LookupError):
        if meant != "unknown":
            expected = pytest.approx(_meant(meant), abs=1e-9), "genai-prices"
    assert price_of((model,), "" if provider == "-" else provider, TOKENS, DAY) == expected


def test_the_list_has_nearly_all_of_them() -> None:
    """The names above are compared with real prices: no allowed version of the list lacks more than two of their models."""
    missing = 0
    for meant in {meant for _, meant in FORMS if meant != "unknown"}:
        try:
            _meant(meant)
        except LookupError:
            missing += 1
    assert missing <= 2


ROUTES = {"aws": "bedrock", "google": "vertex_ai", "together": "together_ai", "x-ai": "xai"}
"""What LiteLLM calls providers, where it is not the price list's name."""


@pytest.mark.parametrize("provider", sorted(providers._PRICED))
def test_every_model_of_the_list_is_found_by_provider_and_by_route(provider: str) -> None:
    """Under its provider's name, and with LiteLLM's prefix through OpenAI's client, a model has its own prices."""
    snapshot = get_snapshot()
    (entry,) = [each for each in snapshot.providers if each.id == provider]
    route = ROUTES.get(provider, provider.replace("-", "_"))
    named = {name: model for model in entry.models for name in (model.id, f"accounts/fireworks/models/{model.id}")}
    # Perplexity's `perplexity/sonar` is Sonar through another of its APIs: as a route it is `sonar`.
    own = {
        name: model for name, model in named.items() if entry.find_model(name) is model and "perplexity/" not in name
    }
    assert len(own) >= 4
    for name, model in own.items():
        expected = listed_prices(provider, (name,), DAY, 1_000)
        assert listed_prices("openai", (f"{route}/{name}",), DAY, 1_000) == expected, name
        assert expected is None or expected.input == pytest.approx(_input_price(model), rel=1e-12), name


def test_a_provider_of_the_list_alone_has_its_own_prices() -> None:
    """The list has, and will have, providers that no table here names: under their own names their models cost what the list says, and
    not what others take for models of the same names."""
    others = [each for each in get_snapshot().providers if each.id != "openai" and not providers.listed_as(each.id)]
    own = [(each.id, model.id) for each in others for model in each.models if each.find_model(model.id) is model]
    assert len(own) >= 10
    for provider, model in own:
        unit_prices = listed_prices(provider, (model,), DAY, 1_000)
        cost = 0.0 if unit_prices is None else unit_prices.cost(Tokens(1_000, 500))
        assert cost == pytest.approx(listed(provider, model, Tokens(1_000, 500)), abs=1e-9), (provider, model)


def _input_price(model: Any) -> float:
    price = getattr(model.get_prices(DAY), "input_mtok", None)
    if isinstance(price, TieredPrices):
        return float(next((tier.price for tier in reversed(price.tiers) if tier.start < 1_000), price.base)) / 1e6
    return float(price or 0) / 1e6


def test_a_request_tells_the_provider_of_the_model_that_answered() -> None:
    """A gateway is asked for `groq/…` and answers with the bare model; an alias is answered with the model behind it."""
    tokens = Tokens(1_000_000, 0)
    asked = ("llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile")
    assert price_of(asked, "openai", tokens, DAY)[0] == pytest.approx(listed("groq", asked[0], tokens))
    routed = ("deepseek/deepseek-chat-v3.1", "openrouter/deepseek/deepseek-chat-v3.1")
    assert price_of(routed, "litellm", tokens, DAY)[0] == pytest.approx(listed("openrouter", routed[0], tokens))
    alias = ("gpt-4o-2024-08-06", "our-best")
    assert price_of(alias, "azure", tokens, DAY)[0] == pytest.approx(listed("azure", alias[0], tokens))


def test_a_listed_model_without_a_rate_is_unknown() -> None:
    """The list keeps models that no longer have rates, and its library computes 0 for them: shown as unknown, never as free. What is
    free without a rate says so in its name, or is Gemma on the Gemini API."""
    assert price_of(("qwen-3-coder-480b",), "cerebras", TOKENS, DAY) == (0.0, "unknown-model")
    assert price_of(("github_copilot/gpt-4.1",), "", TOKENS, DAY) == (0.0, "unknown-model")
    assert price_of(("openai/gpt-oss-20b:free",), "openrouter", TOKENS, DAY) == (0.0, "genai-prices")
    assert price_of(("gemma-3-27b-it",), "gcp.gemini", TOKENS, DAY) == (0.0, "genai-prices")
    assert price_of(("gemma-3-27b-it",), "gcp.vertex_ai", TOKENS, DAY) == (0.0, "unknown-model")


def test_what_openrouter_gives_away_is_free() -> None:
    """`:free` costs nothing and is recorded as such, although the price list does not have the model."""
    assert price_of(("new/model:free",), "openrouter", TOKENS, DAY) == (0.0, "genai-prices")
    assert price_of(("new/model:free",), "openai", TOKENS, DAY) == (0.0, "genai-prices")
    assert price_of(("new/model",), "openrouter", TOKENS, DAY) == (0.0, "unknown-model")


# --- the provider -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "provider"),
    [
        ("openrouter.ai", "openrouter"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("acme.openai.azure.com", "azure.ai.openai"),
        ("https://acme.services.ai.azure.com/models", "azure.ai.inference"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock"),
        ("vpce-0a-1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", "aws.bedrock"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("https://user:key@API.Groq.com:443/openai/v1", "groq"),
        ("us.api.openai.com", "openai"),
        ("us-east-1.api.x.ai", "x_ai"),
        ("api.together.xyz", "together_ai"),
        ("api.deepseek.com", "deepseek"),
        ("127.0.0.1", ""),
        ("http://localhost:11434/v1", ""),
        ("10.0.0.7", ""),
        ("llm.acme.example", ""),
        ("notopenrouter.ai", ""),
        ("", ""),
    ],
)
def test_the_host_tells_the_provider(server: str, provider: str) -> None:
    """Known hosts, also within a URL, determine their provider; loopback, private and unknown ones do not."""
    assert providers.provider_at(providers.host_of(server)) == provider


@pytest.mark.parametrize(
    "provider", ["ollama", "Ollama", "vllm", "hosted_vllm", "llama.cpp", "llama_cpp", "lmstudio", "lm_studio"]
)
def test_self_hosted_models_are_free(provider: str) -> None:
    """By the provider's name a model costs 0 with the source `local`, with or without tokens, although others sell it."""
    assert price_of(("deepseek-r1",), provider, TOKENS, DAY) == (0.0, "local")
    assert price_of(("llama3",), provider, Tokens(None, None), DAY) == (0.0, "local")


def test_a_models_own_prefix_makes_it_local_where_nobody_else_is_told() -> None:
    """`ollama/llama3` through a gateway's client is local; at a known provider it is not."""
    assert price_of(("ollama/llama3.1",), "openai", TOKENS, DAY) == (0.0, "local")
    assert price_of(("hosted_vllm/Qwen/Qwen3-8B",), "litellm", TOKENS, DAY) == (0.0, "local")
    assert price_of(("ollama/llama3.1",), "groq", TOKENS, DAY) == (0.0, "unknown-model")


# --- unit prices ------------------------------------------------------------------------------------------------------


def _priced_by_tokens() -> Iterator[tuple[str, str]]:
    for provider in get_snapshot().providers:
        for model in provider.models:
            rated = isinstance(model.prices, list) or vars(model.prices)
            if provider.id in providers._PRICED and provider.find_model(model.id) is model and rated:
                yield provider.id, model.id


def test_unit_prices_are_the_librarys() -> None:
    """Random calls of 400 models of the list, including tiers, time of day, cached, written and reasoning tokens: equal to
    genai-prices to a billionth of a dollar."""
    chance = random.Random(7)
    models = list(_priced_by_tokens())
    tiered = [each for each in models if _is_tiered(*each)]
    by_time = [("deepseek", "deepseek-chat"), ("deepseek", "deepseek-reasoner")]
    assert len(tiered) > 50
    for provider, model in chance.sample(models, 300) + chance.sample(tiered, 50) + by_time * 25:
        whole = int(10 ** chance.uniform(0, 6.2))
        read = chance.randrange(whole + 1)
        tokens = Tokens(whole, int(10 ** chance.uniform(0, 5)), read, chance.randrange(whole - read + 1))
        moment = datetime(2025, 1, 1, chance.randrange(24), chance.randrange(60), tzinfo=timezone.utc)
        prices = listed_prices(provider, (model,), moment, whole)
        assert prices is not None
        assert prices.cost(tokens) == pytest.approx(listed(provider, model, tokens, moment), abs=1e-9), (model, tokens)


def _is_tiered(provider: str, model: str) -> bool:
    (entry,) = [each for each in get_snapshot().providers if each.id == provider]
    found = entry.find_model(model)
    assert found is not None
    return any(isinstance(each, TieredPrices) for each in vars(found.get_prices(DAY)).values())


def test_the_edge_of_a_tier_is_the_librarys() -> None:
    """A prompt of exactly the threshold has the price below it, one token more the price above."""
    for size in (199_999, 200_000, 200_001):
        tokens = Tokens(size, 1_000)
        cost, _ = price_of(("gemini-2.5-pro",), "gcp.gemini", tokens, DAY)
        assert cost == pytest.approx(listed("google", "gemini-2.5-pro", tokens), abs=1e-12)


def test_another_list_counts_at_once() -> None:
    """A process that lets genai-prices update its list gets the new prices, although the old ones were already looked up."""
    before, _ = price_of(("gpt-4o",), "openai", TOKENS, DAY)
    snapshot = get_snapshot()
    changed = DataSnapshot(
        providers=[each for each in snapshot.providers if each.id != "openai"], from_auto_update=False
    )
    set_custom_snapshot(changed)
    try:
        assert price_of(("gpt-4o",), "openai", TOKENS, DAY) == (0.0, "unknown-model")
    finally:
        set_custom_snapshot(None)
    assert price_of(("gpt-4o",), "openai", TOKENS, DAY)[0] == before > 0


def test_reasoning_has_its_own_price_where_the_list_has_one() -> None:
    """Reasoning tokens are priced as output, or at their own price if a model has one."""
    with_own = [each for each in _priced_by_tokens() if _reasoning_price(*each) is not None]
    assert with_own
    for provider, model in with_own:
        prices = listed_prices(provider, (model,), DAY, 10)
        assert prices is not None and prices.reasoning == pytest.approx(float(_reasoning_price(provider, model)) / 1e6)
    without = listed_prices("openai", ("o4-mini",), DAY, 10)
    assert without is not None and without.reasoning == without.output > 0


def _reasoning_price(provider: str, model: str) -> Any:
    (entry,) = [each for each in get_snapshot().providers if each.id == provider]
    found = entry.find_model(model)
    assert found is not None
    prices = found.get_prices(DAY)
    assert isinstance(prices, ModelPrice)
    return prices.output_reasoning_mtok


# --- no price, and why ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "source"),
    [
        (None, "no-tokens"),
        ("RateLimitError: 429", "failed"),
        ("BadRequestError: context too long", "failed"),
        (": ", "failed"),
        ("APITimeoutError: Request timed out.", "no-tokens"),
        ("APIConnectionError: Connection error.", "no-tokens"),
        ("asyncio.CancelledError: ", "no-tokens"),
        ("KeyboardInterrupt: ", "no-tokens"),
    ],
)
def test_without_tokens_an_error_of_the_providers_costs_nothing(error: str | None, source: str) -> None:
    """A provider's refusal is not billed; a call that the caller abandoned may be, and stays unknown."""
    assert price_of(("gpt-4o",), "openai", Tokens(None, None), DAY, error=error) == (0.0, source)
    assert price_of(("gpt-4o",), "openai", Tokens(10, 1), DAY, error=error)[1] == "genai-prices"


# --- own prices -------------------------------------------------------------------------------------------------------

OWN = """
[models."our-llama"]
input = 1
cached = 0.1
cache_write = 1.25
output = 4
reasoning = 8
request = 0.001

[models."gpt-4o*"]
input = 2
output = 3.5

[models."per-call"]
request = 0.01

[models."azure/gpt-5-mini"]
input = 9

[models."ollama/*"]
output = 0.5
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("provider", "model", "tokens", "expected"),
    [
        ("vllm", "our-llama", Tokens(1000, 500, 200, 100, 50), 0.001 + (700 + 20 + 125 + 450 * 4 + 50 * 8) / 1e6),
        ("openai", "Our-Llama", Tokens(1000, 0), 0.001 + 1000 / 1e6),
        ("openai", "gpt-4o-2024-08-06", Tokens(1000, 100, 500, 0, 100), (2 * 1000 + 3.5 * 100) / 1e6),
        ("anybody", "per-call", Tokens(None, None), 0.01),
        ("anybody", "per-call", Tokens(10, 10), 0.01),
        ("azure", "gpt-5-mini", Tokens(1000, 10), 9000 / 1e6),
        ("azure.ai.openai", "gpt-5-mini", Tokens(1000, 10), 9000 / 1e6),
        ("ollama", "llama3", Tokens(1000, 1000), 500 / 1e6),
    ],
)
def test_own_prices_go_first(own: Path, provider: str, model: str, tokens: Tokens, expected: float) -> None:
    """By name or pattern, regardless of case: before the price list, and before `local`. Unless set otherwise, a cached or written token
    costs as much as any other of the prompt, and a reasoning token as much as the output."""
    cost, source = price_of((model,), provider, tokens, DAY, own=read_own_prices(own))
    assert source == "own-prices"
    assert cost == pytest.approx(expected, abs=1e-12)


def test_other_models_keep_the_lists_prices(own: Path) -> None:
    """What the file does not name costs the same as before; what it prices by tokens needs tokens."""
    prices = read_own_prices(own)
    assert price_of(("gpt-4.1",), "openai", TOKENS, DAY, own=prices) == price_of(("gpt-4.1",), "openai", TOKENS, DAY)
    assert price_of(("our-llama",), "vllm", Tokens(None, None), DAY, own=prices) == (0.0, "no-tokens")
    assert own_price_of(prices, "openai", ("gpt-5-mini",)) is None


def test_the_documented_file_is_one(tmp_path: Path) -> None:
    """The documentation's example can be read, and its Azure model has its price."""
    document = (Path(__file__).parents[2] / "docs/prices.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    path = tmp_path / "prices.toml"
    path.write_text(example, encoding="utf-8")
    cost, source = price_of(("gpt-4o",), "azure.ai.openai", Tokens(1_000_000, 0), DAY, own=read_own_prices(path))
    assert (cost, source) == (2.75, "own-prices")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", 'needs tables of the form [models."NAME"]'),
        ("models = 3", 'needs tables of the form [models."NAME"]'),
        ('[model."m"]\ninput = 1', "model is unknown"),
        ('[models."m"]', "has no price; it may have input, cached, cache_write, output, reasoning, request"),
        ('[models."m"]\ninptu = 1', "has inptu; it may only have input,"),
        ('[models."m"]\ninput = "1"', "input is '1'; it must be a number, 0 or more"),
        ('[models."m"]\noutput = -1', "output is -1; it must be a number, 0 or more"),
        ('[models."m"]\noutput = inf', "output is inf; it must be a number, 0 or more"),
        ('[models."m"]\noutput = nan', "output is nan; it must be a number, 0 or more"),
        ('[models."m"]\noutput = true', "output is True; it must be a number, 0 or more"),
        ('[models."m"\n', "are not TOML"),
    ],
)
def test_a_wrong_file_is_told_in_a_line(tmp_path: Path, content: str, said: str) -> None:
    """`configure` raises a ValueError that names the file, the model and the mistake, and nothing is half recorded."""
    path = tmp_path / "prices.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as raised:
        configure(prices=path, clickhouse_url=f"chdb://{tmp_path / 'store'}", data_dir=tmp_path / "data")
    assert said in str(raised.value) and str(path) in str(raised.value)
    assert not (tmp_path / "data").exists()


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file named in the environment does not exist, `configure` fails with its path."""
    monkeypatch.setenv("GENESIS_OTEL_PRICES", str(tmp_path / "none.toml"))
    with pytest.raises(ValueError, match=r"none\.toml cannot be read: No such file"):
        configure(clickhouse_url=f"chdb://{tmp_path / 'store'}", data_dir=tmp_path / "data")


def test_a_cost_is_a_finite_number() -> None:
    """Absurd counts yield an absurd cost, never an infinite or negative one."""
    for tokens in (Tokens(2**63 - 1, 2**63 - 1), Tokens(0, 0), Tokens(5, 5, 50, 50, 50)):
        cost, _ = price_of(("gpt-4o",), "openai", tokens, DAY)
        assert math.isfinite(cost) and cost >= 0
