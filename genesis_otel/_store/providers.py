"""Which provider a call went to, and under which names the price list may know its model.

In: where the call went, and the provider's and the models' names as instrumentations, clients and gateways write them. Out: the
provider, and pairs of provider and model to look up, likeliest first. On failure: an unknown name yields no pair; nothing is guessed:
a model that anybody can host is priced only if its host is known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

HOSTS = {
    "openrouter.ai": "openrouter",
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "openai.azure.us": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "azure-api.net": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "amazonaws.com.cn": "aws.bedrock",
    "api.aws": "aws.bedrock",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "googleapis.com": "gcp.vertex_ai",
    "api.groq.com": "groq",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.cerebras.ai": "cerebras",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.z.ai": "z_ai",
    "open.bigmodel.cn": "zhipu_ai",
    "api.minimax.io": "minimax",
    "api.minimax.chat": "minimax",
    "api.minimaxi.com": "minimax",
    "api.novita.ai": "novita",
    "githubcopilot.com": "github_copilot",
    "api.voyageai.com": "voyage_ai",
    "cloud.databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "gcp.databricks.com": "databricks",
    "api.cloudflare.com": "cloudflare",
    "inference.baseten.co": "baseten",
    "cloud.ovh.net": "ovhcloud",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.hyperbolic.xyz": "hyperbolic",
    "aliyuncs.com": "alibaba_cloud",
    "api.siliconflow.cn": "siliconflow",
    "api.siliconflow.com": "siliconflow",
    "volces.com": "volcengine",
    "integrate.api.nvidia.com": "nvidia",
    "api.replicate.com": "replicate",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "models.github.ai": "github_models",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "ollama.com": "ollama_cloud",
}
"""Host suffixes, longer ones first where one contains another, and the provider behind each, under OpenTelemetry's name if it has one.
The view of ``llm_logs`` has the same list. Loopback and private addresses are not listed: gateways run there."""

LOCAL = frozenset(
    ("ollama", "ollamachat", "vllm", "hostedvllm", "llamacpp", "llamacpppython", "llamafile", "lmstudio", "sglang")
)
"""Servers that people run themselves, by :func:`_normalised`."""

_PRICED = {
    "anthropic": ("anthropic", "anthropictext"),
    "arcee": ("arcee", "arceeai"),
    "avian": ("avian",),
    "aws": ("aws", "awsbedrock", "bedrock", "bedrockconverse", "bedrockmantle", "amazon", "amazonbedrock"),
    "azure": (
        "azure",
        "azureai",
        "azureaiopenai",
        "azureaiinference",
        "azaiopenai",
        "azaiinference",
        "azureopenai",
        "azuretext",
    ),
    "baseten": ("baseten",),
    "cerebras": ("cerebras",),
    "cloudflare": ("cloudflare", "workersai"),
    "cohere": ("cohere", "coherechat"),
    "databricks": ("databricks",),
    "deepseek": ("deepseek",),
    "fireworks": ("fireworks", "fireworksai"),
    "github-copilot": ("githubcopilot", "copilot"),
    "google": (
        *("google", "googlegla", "googlevertex", "googlevertexai", "googlegenai", "googlegenerativeai", "googleai"),
        *("googleaistudio", "gemini", "vertex", "vertexai", "vertexaibeta", "vertexaianthropic"),
        *("gcp", "gcpgemini", "gcpvertexai", "gcpgenai"),
    ),
    "groq": ("groq",),
    "minimax": ("minimax", "minimaxai"),
    "mistral": ("mistral", "mistralai", "codestral"),
    "moonshotai": ("moonshot", "moonshotai"),
    "novita": ("novita", "novitaai"),
    "openrouter": ("openrouter",),
    "ovhcloud": ("ovhcloud", "ovh"),
    "perplexity": ("perplexity", "perplexityai", "pplx"),
    "together": ("together", "togetherai", "togethercomputer"),
    "voyageai": ("voyage", "voyageai"),
    "x-ai": ("xai", "grok"),
    "zai": ("zai",),
    "zhipuai": ("zhipu", "zhipuai", "bigmodel"),
}
"""The price list's providers, and their other names, by :func:`_normalised`."""

_UNPRICED = (
    *(
        "deepinfra",
        "sambanova",
        "nebius",
        "hyperbolic",
        "alibabacloud",
        "dashscope",
        "siliconflow",
        "volcengine",
        "nvidia",
    ),
    *(
        "nvidianim",
        "replicate",
        "huggingface",
        "githubmodels",
        "github",
        "ibmwatsonxai",
        "watsonx",
        "ollamacloud",
        "sagemaker",
    ),
)
"""Hosts of models that others host too, at other prices, and that the price list lacks."""

_PROVIDERS = {name: listed for listed, called in _PRICED.items() for name in called} | {
    each: each for each in _UNPRICED
}

_CLIENTS = frozenset(
    ("openai", "openairesponses", "textcompletionopenai", "customopenai", "openailike", "litellm", "litellmproxy")
)
"""Names that identify the client and not the provider: every gateway speaks OpenAI's protocol."""

_ORGANISATIONS = frozenset(("google", "minimaxai", "mistralai", "moonshotai"))
"""Hugging Face organisations with the names of providers. Under these, a name with a capital letter denotes open weights, which anybody
may serve: the providers' own ids are in lower case."""

_WEIGHTS = re.compile(r":(?:latest$|[\d.]+[bm]\b)|distill|gguf|awq|gptq|\bq\d_")
"""Names of open weights and of Ollama's models: the price list would take them for models that their makers serve."""

_ARN = re.compile(r"^arn:aws[\w-]*:bedrock:[^:]*:[^:]*:(?:inference-profile|foundation-model)/(.+)$")
_BEDROCK_PLACE = re.compile(r"^(?:(?:converse|invoke|[a-z]{2}(?:-[a-z]+)+-\d)/)+")
_GEOGRAPHY = r"(?:[a-z]{2,4}|us-gov|global)\."
_BEDROCK_VENDORS = (
    *("amazon", "ai21", "anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot"),
    *("moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai"),
)
_BEDROCK_ID = re.compile(rf"^(?:{_GEOGRAPHY})?(?:{'|'.join(_BEDROCK_VENDORS)})\.[a-z]")
_BEDROCK_CONTEXT = re.compile(r":\d+k$")
_RESOURCE = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?(?:models/)?")
_OPENROUTER_VARIANT = re.compile(r":(?:beta|exacto|extended|floor|nitro|online|thinking)$")
_SERVER = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?(?:[^/@]*@)?([^/:?#]+)")


def host_of(server: str) -> str:
    """The host of a URL or an address, in lower case."""
    match = _SERVER.match(server)
    return match[1].lower() if match else ""


def provider_at(host: str) -> str:
    """The provider behind a host, or ''."""
    dotted = f".{host}"
    return next((provider for end, provider in HOSTS.items() if dotted.endswith(f".{end}")), "")


def listed_as(provider: str) -> str:
    """The price list's name of a provider; '' if the name identifies only the client, or is unknown."""
    return _PROVIDERS.get(_normalised(provider), "")


def is_local(provider: str, models: Sequence[str]) -> bool:
    """Whether the user runs the model: by the provider's name, or by the model's if the provider's tells nothing."""
    normalised = _normalised(provider)
    heads = (_normalised(model.partition("/")[0]) for model in models if "/" in model)
    return normalised in LOCAL or (normalised not in _PROVIDERS and any(head in LOCAL for head in heads))


def candidates(
    provider: str, models: Sequence[str], ids: Collection[str] = frozenset()
) -> Iterator[tuple[str | None, str]]:
    """Pairs of provider (None: whichever has the model) and model to look up in the price list, likeliest first.

    :param models: names of one model: the one that answered comes first, the requested one last.
    :param ids: the providers of the list; those that are not known here go by their own names.
    """
    known = listed_as(provider)
    named = provider.strip().lower()
    if named in ids and not known and _normalised(named) not in _CLIENTS:
        yield from ((named, model.strip().lower()) for model in models)
    # A gateway gets the provider in the requested model's name, but answers without it.
    asked = known or next(filter(None, (_split_route(model)[0] for model in reversed(models))), "")
    for model in models:
        route, rest = _split_route(model)
        whole = model.strip().lower()
        if asked:
            for name in dict.fromkeys((rest, whole) if route == asked else (whole, rest)):
                yield from ((asked, spelled) for spelled in _spellings(asked, name))
        if asked == "openrouter" and route not in ("", asked):
            yield from ((route, spelled) for spelled in _spellings(route, rest))
        if not known and "/" in rest and rest == model.strip():
            # OpenRouter's name for it, in lower case.
            yield from (("openrouter", spelled) for spelled in _spellings("openrouter", rest))
        if not known and route and route != asked:
            yield from ((route, spelled) for spelled in _spellings(route, rest))
        if not known and not route and "/" not in rest and (rest.startswith("ft:") or not _WEIGHTS.search(rest)):
            yield None, rest
            yield None, rest.replace("@", "-")
            # Names that only OpenAI uses, but by which the list does not recognise it: embeddings, fine-tuned models.
            yield "openai", rest


def is_free(provider: str, models: Sequence[str]) -> bool:
    """Whether the model is free of charge: OpenRouter's ``…:free``, and Gemma on the Gemini API (not on Vertex AI), which has
    no paid tier: https://ai.google.dev/gemini-api/docs/pricing."""
    return any(
        (listed == "openrouter" and model.endswith(":free"))
        or (listed == "google" and model.startswith("gemma-") and "vertex" not in _normalised(provider))
        for listed, model in candidates(provider, models)
    )


@lru_cache(1024)
def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _split_route(model: str) -> tuple[str, str]:
    """The provider in a model's name, as the price list calls it, and the rest of the name, in lower case."""
    model = model.strip()
    name = model.lower()
    if _ARN.match(name) or _BEDROCK_ID.match(name):
        return "aws", name
    if name.startswith("accounts/fireworks/"):
        return "fireworks", name
    if name.startswith("@cf/"):
        return "cloudflare", name
    if name.startswith(("publishers/", "projects/", "models/")):
        return "google", name
    separator = "/" if "/" in name else ":"
    head, _, rest = name.partition(separator)
    normalised = _normalised(head)
    if not rest or (normalised in _ORGANISATIONS and name != model):
        return "", name
    if normalised in _CLIENTS:
        route, inner = _split_route(model[len(head) + 1 :])
        return ("openai", rest) if normalised == "openai" and not route and "/" not in rest else (route, inner)
    return (_PROVIDERS[normalised], rest) if normalised in _PROVIDERS else ("", name)


def _spellings(listed: str, name: str) -> Iterator[str]:
    """The ways in which the price list may write a model of one of its providers."""
    if listed == "aws":
        yield from _bedrock(name)
    elif listed == "azure":
        # A deployment's location precedes the model: `eu/gpt-4o`, `global-standard/gpt-4o`.
        own = name.rpartition("/")[2]
        yield own
        yield own.replace("gpt-35-", "gpt-3.5-")
    elif listed == "google":
        own = _RESOURCE.sub("", name)
        own = own.removesuffix("@default").removesuffix("@latest")
        yield from dict.fromkeys((own, own.replace("@", "-"), own.rpartition("/")[2]))
    elif listed == "openrouter":
        yield name
        yield _OPENROUTER_VARIANT.sub("", name)
    elif listed == "fireworks":
        yield name
        yield f"accounts/fireworks/models/{name}"
    elif listed == "cloudflare" and not name.startswith("@cf/"):
        yield f"@cf/{name}"
    else:
        yield name
        yield name.replace("@", "-")


def _bedrock(name: str) -> Iterator[str]:
    arn = _ARN.match(name)
    own = _BEDROCK_CONTEXT.sub("", _BEDROCK_PLACE.sub("", arn[1] if arn else name))
    yield own
    place = re.match(_GEOGRAPHY, own) if _BEDROCK_ID.match(own) else None
    if place and place[0] != "global." and _BEDROCK_ID.match(own[place.end() :]):
        # Every geography but the global one has the same price.
        bare = own[place.end() :]
        yield f"us.{bare}"
        yield bare
    elif not place and _BEDROCK_ID.match(own):
        yield f"us.{own}"
    elif not place:
        # traceloop leaves the vendor out.
        yield from (f"{vendor}.{own}" for vendor in _BEDROCK_VENDORS)
