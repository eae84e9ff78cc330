"""Judges by name whether a value is a secret: of settings, attributes, headers, parameters and variables.

In: a name, in any spelling (``OPENAI_API_KEY``, ``apiKey``, ``http.request.header.x-api-key``). Out: how certainly its value is a
secret. All decisions based on names are made here. On failure: nothing here raises.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache


class Kind(IntEnum):
    """What a name reveals about its value."""

    NONE = 0
    """Nothing: ``max_tokens``, ``sort_key``."""
    LIKELY = 1
    """A secret if the value looks like one: ``token`` in a parser is a word."""
    SURE = 2
    """A secret, whatever it looks like."""
    HEADER = 3
    """A secret after a word that may stay: ``Authorization: Basic ...``."""


SURE_ENDINGS = (
    *("password", "passwd", "passwort", "passphrase", "passcode", "pwd", "passwords", "secret", "secrets"),
    *("apikey", "secretkey", "accesskey", "privatekey", "signingkey", "encryptionkey", "accountkey", "sharedkey"),
    *(
        "masterkey",
        "licensekey",
        "authkey",
        "hmackey",
        "storagekey",
        "subscriptionkey",
        "servicekey",
        "deploykey",
        "keydata",
    ),
    *("clientkey", "consumerkey", "sessionkey", "rootkey", "sshkey", "sharedaccesssignature"),
    *(
        "authtoken",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "bearertoken",
        "sessiontoken",
        "apitoken",
        "bottoken",
        "usertoken",
    ),
    *(
        "credential",
        "credentials",
        "connectionstring",
        "sessionid",
        "sessid",
        "webhookurl",
        "privatekeypem",
        "seedphrase",
        "honeycombteam",
    ),
)
"""Endings of names whose values are secrets, in lower case and without word separators."""

SURE_WORDS = frozenset(
    {
        "pass",
        "pw",
        "psw",
        "psk",
        "dsn",
        "creds",
        "otp",
        "totp",
        "dbpass",
        "userpass",
        "smtppass",
        "pgpass",
        "requirepass",
    }
)
"""The same, but matching only the whole last word: ``compass`` is not a password."""

HEADER_ENDINGS = ("authorization", "cookie", "cookies")

PROVIDERS = frozenset(
    re.findall(
        r"\w+",
        "openai anthropic claude gemini google groq xai grok mistral cohere together deepseek openrouter azure aws "
        "bedrock vertex hf huggingface replicate perplexity fireworks cerebras nvidia nim voyage jina pinecone "
        "weaviate qdrant langsmith langchain langfuse wandb tavily serper serpapi brave github gitlab slack stripe "
        "sendgrid twilio mailgun datadog dd grafana newrelic sentry databricks snowflake supabase firebase cloudflare "
        "vercel netlify heroku digitalocean linear notion airtable telegram discord dashscope moonshot zhipu baidu "
        "qwen minimax deepgram elevenlabs assemblyai maps rapidapi llm embedding embeddings",
    )
)
"""Words before ``key`` in the name of a provider's key."""

HARMLESS_TOKENS = frozenset(
    re.findall(
        r"\w+",
        "eos bos pad unk mask cls sep special stop next end start image begin final first last prev previous current "
        "new line newline max min num total sub multi per time tokenizer added blank separator space decoder prefix "
        "suffix middle audio video think peek lookahead expected text page continuation",
    )
)
"""Words before ``token`` where it means a token of a text, or of a page."""

HARMLESS_KEYS = frozenset(
    re.findall(
        r"\w+",
        "public sort primary foreign cache group partition random rng prng map dict join index unique hash lookup "
        "object row column routing metric metrics fitness config setting feature label json state score item order "
        "name by composite natural surrogate registry arrow enter up down left right shift press on hot short "
        "candidate parent child translation i18n message idempotency dedup dedupe deduplication bucket s3 redis "
        "storage_prefix field attr attribute param property id data tag type program individual island genome gene generation "
        "species code content hash prompt edge node vertex cell archive feature graph",
    )
)
"""Words before ``key`` where it does not give access to anything."""

SUFFIXES = (
    "prod|production|dev|test|testing|staging|stage|live|old|new|base64|b64|value|primary|secondary"
    "|backup|raw|plain|str|base"
)
"""Words that may follow a name, as may a number: ``password_prod``, ``API_KEY_2``."""
TRAILERS = re.compile(rf"(?:[_.\-]?\d{{1,3}}|[_.\-](?:{SUFFIXES}))$", re.IGNORECASE)

_WORDS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind:
    """How certainly the value of this name is a secret."""
    name = name[-200:]
    for _ in range(3):
        shorter = TRAILERS.sub("", name)
        if shorter == name:
            break
        name = shorter
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return Kind.NONE
    joined, last, before = "".join(words[-4:]), words[-1], words[-2] if len(words) > 1 else ""
    if joined.endswith(HEADER_ENDINGS):
        return Kind.HEADER
    if last in SURE_WORDS or joined.endswith(SURE_ENDINGS):
        return Kind.SURE
    if joined.endswith("keys") and joined[:-1].endswith(SURE_ENDINGS):
        return Kind.SURE
    if joined.endswith("token") or joined.endswith("tokens"):
        left = before if last in ("token", "tokens") else last.removesuffix("s").removesuffix("token")
        return Kind.NONE if last.endswith("s") or left in HARMLESS_TOKENS else Kind.LIKELY
    if last == "key" or last.endswith("key"):
        left = before if last == "key" else last[:-3]
        if left in PROVIDERS:
            return Kind.SURE
        return (
            Kind.NONE
            if left in HARMLESS_KEYS or last in ("monkey", "donkey", "turkey", "hockey", "jockey")
            else Kind.LIKELY
        )
    if last in ("auth", "sig", "signature", "bearer", "jwt", "keys", "webhook", "pat", "mnemonic"):
        return Kind.LIKELY
    return Kind.NONE


def is_secret_name(name: str) -> bool:
    """Whether the value of a setting with this name must not be recorded."""
    kind = kind_of(name)
    if kind is not Kind.LIKELY:
        return kind is not Kind.NONE
    words = _WORDS.findall(name.lower())
    # A setting named token or key is one; in a program's text the same name would be a variable.
    return bool(words) and (
        words[-1] in ("token", "jwt", "bearer", "auth", "pat", "mnemonic") or words[-1].endswith(("token", "key"))
    )
