"""Removing secrets from text: what is recognised, what is left alone, how long it takes, and where it is done."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import re
import string
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genesis_otel._ship.redaction import assignments, matches, scan
from genesis_otel._ship.redaction.names import Kind, is_secret_name, kind_of
from genesis_otel._ship.redaction.redact import TOO_MANY, redactor, without_secrets
from genesis_otel._ship.redaction.verdict import REDACTED
from tests.support.secret_corpus import HARMLESS, SECRETS, Secret, made, tokens

redacted = redactor()


def left(secret: Secret) -> bool:
    return secret.hidden in redacted(secret.text)


def test_the_corpus_has_its_stated_size() -> None:
    """At least 150 secrets of 40 kinds, with no duplicates, and 150 harmless texts."""
    assert len(SECRETS) >= 150 and len({secret.kind for secret in SECRETS}) >= 40
    assert all(
        secret.hidden in secret.text or secret.kind == "escaped in JSON"
        for secret in SECRETS
        if "JSON" not in secret.kind
    )
    assert len(set(HARMLESS)) == len(HARMLESS) >= 150


def test_recall() -> None:
    """At least 98 % of the secrets in the corpus are removed."""
    missed = [secret for secret in SECRETS if left(secret)]
    assert len(missed) <= 0.02 * len(SECRETS), missed


def test_all_of_a_long_secret_is_removed() -> None:
    """Nothing of a secret is left that is longer than what is judged of it."""
    secret = made(9000)
    for text in (
        f'{{"private_key": "{secret}", "a": 1}}',
        f"API_KEY={secret}\nx=1",
        f"x Bearer {secret} x",
        f"curl -u me:{secret} x",
        f"the key {secret[:3000]}== is",
        "sk" + f"-proj-{secret} x",
    ):
        assert not any(secret[at : at + 20] in redacted(text) for at in range(0, 9000, 20)), text[:20]


def test_of_a_program_that_names_private_keys_nothing_is_removed() -> None:
    """The two lines around a private key are no secret without one between them; of prose about them, only the line goes."""
    program = 'x = pem.replace("-----BEGIN PRIVATE KEY-----", "").replace("-----END PRIVATE KEY-----", "")'
    assert redacted(program) is program
    prose = "It begins with -----BEGIN PRIVATE KEY----- and then the base64 data follows until the footer."
    assert redacted(prose).endswith(f"{REDACTED} and then the base64 data follows until the footer.")


def test_a_key_behind_a_truncated_private_key_is_removed() -> None:
    """What follows a private key without an end is judged by itself, and nothing of the private key is left."""
    body, key = made(64), "sk" + f"-proj-{made(40)}"
    text = redacted(f"-----BEGIN PRIVATE KEY-----\n{body}\n{body}\n\nUse the key {key} for it.")
    assert body[:20] not in text and key[-20:] not in text and text.endswith(" for it.")


def test_an_escape_is_resolved_whatever_else_looks_like_a_secret() -> None:
    """A key behind escapes is removed, also where the escaped text has a secret of its own that goes when they are resolved."""
    key = "xo" + "xa-0\\u0030PASSWORT:0;"
    assert redacted(key) == f"{REDACTED}:0;"


def test_false_alarms() -> None:
    """At most 1 % of the texts without a secret are changed."""
    changed = [text for text in HARMLESS if redacted(text) != text]
    assert len(changed) <= 0.01 * len(HARMLESS), changed


def test_a_text_without_a_secret_is_returned_as_the_same_object() -> None:
    """Nothing is copied where nothing is found."""
    text = "def f(x):\n    return x\n" * 100
    assert redacted(text) is text


def test_json_stays_json() -> None:
    """A secret in a JSON string, or in JSON inside one, is removed without breaking it, and the text around it stays."""
    broken = []
    for secret in SECRETS:
        for text in (
            json.dumps({"a": secret.text, "b": [1]}),
            json.dumps({"a": json.dumps({"x": secret.text}), "b": [1]}),
        ):
            try:
                beside = json.loads(redacted(text))["b"]
            except ValueError:
                beside = None
            if beside != [1]:
                broken.append(text)
    assert broken == []


def test_secrets_in_json_in_json_are_found() -> None:
    """A secret that is escaped once or twice is recognised as well: at least 98 % of the corpus."""
    for depth in (1, 2):
        missed = []
        for secret in SECRETS:
            text, hidden = secret.text, secret.hidden
            for _ in range(depth):
                text, hidden = json.dumps({"text": text}), json.dumps(hidden)[1:-1]
            if hidden in redacted(text):
                missed.append(secret)
        assert len(missed) <= 0.02 * len(SECRETS), missed


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq8mX2kTn0",
        "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq8mX2kTn0\n-----END",
        "Private-Lines: 2\nAAAAgQCmX2kTn0abcd\nAAAAgQCmX2kTn0abcd",
        '"-----BEGIN PRIVATE KEY-----",\n"MIIEpAIBAAKCAQEA7bq8mX2kTn0",\n',
    ],
)
def test_a_secret_behind_a_truncated_key_is_found(key: str) -> None:
    """Its beginning looks like more of the key, but is no end of it."""
    known = [secret for secret in SECRETS if secret.hidden not in redacted(f"text\n\n{secret.text}")]
    ends = ("", '\n"-----END PRIVATE KEY-----"')
    assert [each for each in known for end in ends if each.hidden in redacted(f"{key}\n\n{each.text}{end}")] == []
    twice = [redacted(f"{key}\n\n{secret.text}") for secret in known[::10]]
    assert [redacted(text) for text in twice] == twice


def test_redacting_twice_changes_nothing_more() -> None:
    """A redacted text is not taken for a secret."""
    once = [redacted(secret.text) for secret in SECRETS]
    assert [redacted(text) for text in once] == once


def test_without_re2_the_same_secrets_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without RE2, the standard library finds the same secrets with the same expressions."""
    texts = [*(secret.text for secret in SECRETS), *HARMLESS]
    expected = [redacted(text) for text in texts]
    monkeypatch.setattr(scan, "re2", None)
    monkeypatch.setattr(scan, "_compiled", scan._Compiled())
    assert [redacted(text) for text in texts] == expected
    assert all(isinstance(each, re.Pattern) for each in scan._compiled.values())


PIECES = [
    *(
        "password",
        "token",
        "api_key",
        "key",
        "=",
        ":",
        ": ",
        '"',
        "'",
        "`",
        "\\",
        "\\n",
        '\\"',
        " ",
        "\n",
        "://",
        "@",
        "/",
        "-----BEGIN PRIVATE KEY-----",
    ),
    *(
        "-----END",
        "Authorization: ",
        "Basic ",
        "Bearer ",
        "Cookie: a=",
        "\\u0041",
        "\\u00",
        "curl -u ",
        "mysql -p",
        "{",
        "}",
        "$",
        "<",
        ">",
        "(",
        ")",
        ",",
        ";",
    ),
    *(begin[0][:12] for begin in tokens().values()),
    *("aB3dE5fG7hI9jK1l", "x1", "é", "日本", "\ud800", "\0", "value"),
]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join)


@pytest.mark.parametrize("begin", ["mysql -p", "sshpass -p ", "curl -u me:", "password=", "IDENTIFIED BY '"])
def test_a_limit_inside_a_character_is_harmless(begin: str) -> None:
    """The length limit of a replacement is in bytes and may fall inside a character: the text is redacted all the
    same."""
    for length in (*range(90, 110), *range(190, 210), *range(250, 260), *range(4090, 4100)):
        text = begin + "a1B2" * (length // 4) + "x" * (length % 4) + "é☃😀" * 3
        assert redacted(text) != text, length


@example("0://0:0@pk-0")
@given(TEXTS)
def test_any_text_can_be_redacted(text: str) -> None:
    """For any text, redacting raises nothing, changes only what it marks, and changes nothing more the second time."""
    once = redacted(text)
    assert redacted(once) == once
    if REDACTED not in once and once != TOO_MANY:
        assert once is text


@given(TEXTS)
def test_any_json_stays_json(text: str) -> None:
    """Whatever a text is, its JSON is still JSON when redacted."""
    for ascii_only in (True, False):
        assert set(json.loads(redacted(json.dumps({"text": text}, ensure_ascii=ascii_only)))) == {"text"}


@given(
    st.text(alphabet=string.ascii_letters + " .,\n", max_size=40),
    st.text(alphabet=string.ascii_letters + " .,\n", max_size=40),
)
def test_the_text_around_a_key_stays(before: str, after: str) -> None:
    """A key is removed wherever it stands between words, and the words stay."""
    key = "gh" + "p_" + "aB3" * 12
    assert redacted(f"{before} {key} {after}") == f"{before} {REDACTED} {after}"


def encoded(text: str) -> str:
    return base64.b64encode(json.dumps({"": text}).encode()).decode()


MEBIBYTE = 1 << 20
HOSTILE = {
    "keys that do not go on": "sk-" * (MEBIBYTE // 3),
    "hosts": "://" * (MEBIBYTE // 3),
    "hosts with users": "://a:" * (MEBIBYTE // 5),
    "URLs": "://a:b@" * (MEBIBYTE // 7),
    "bearers": "Bearer " * (MEBIBYTE // 7),
    "one word": "a" * MEBIBYTE + "@://",
    "beginnings of private keys": "-----BEGIN PRIVATE KEY-----" * (MEBIBYTE // 27),
    "passwords": 'password="hunter22"\n' * (MEBIBYTE // 20),
    "quotes that do not close": 'password="' * (MEBIBYTE // 10),
    "quotes that close elsewhere": 'pw: \\"x pw: "y ' * (MEBIBYTE // 15),
    "backslashes": 'password="' + "\\" * MEBIBYTE,
    "web tokens": "eyJ" + "a-_AKIA" * (MEBIBYTE // 7),
    "names": "key=" * (MEBIBYTE // 4),
    "cookies": "cookie: a=" * (MEBIBYTE // 10),
    "escapes": "a\\u0062" * (MEBIBYTE // 7),
    "blanks": "password =" + " " * MEBIBYTE + "x",
    "Base64 in Base64": f"{encoded(encoded('/eyJhaaaaaaaaaaaaaaa ' * 60))} " * (MEBIBYTE // 2300),
    "Base64 of beginnings": f"/{encoded('password ' + '/cGFzc3dvcmaaaaaaaaaaaaa ' * 110)} " * (MEBIBYTE // 3700),
    "beginnings of Base64": "/eyJhaaaaaaaaaaaaa" * (MEBIBYTE // 18),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_work_is_proportional_to_the_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any text, the number of candidates examined is bounded by its size, and each is examined only up to a
    limit."""
    judged, looked, decoded = 0, 0, 0
    judges, decode = matches._judges, assignments.decoded

    def counting(*given: Any) -> tuple[Callable[..., Any], ...]:
        nonlocal judged
        judged += 1
        return judges(*given)

    def adding_up(encoded: bytes) -> bytes:
        nonlocal decoded
        decoded += len(encoded)
        return decode(encoded)

    monkeypatch.setattr(matches, "_judges", counting)
    monkeypatch.setattr(matches, "decoded", adding_up)
    unbounded = scan._search

    def bounded(pattern: bytes, data: bytes) -> scan.Search:
        search = unbounded(pattern, data)

        def look(at: int) -> tuple[int, int] | None:
            nonlocal looked
            found = search(at)
            looked = max(looked, found[1] - found[0]) if found else looked
            return found

        return look

    monkeypatch.setattr(scan, "_search", bounded)
    redacted(text)
    assert judged <= 2 * matches.most(len(text.encode()))
    assert decoded <= len(text)
    assert looked <= 400 or text.startswith("password = ")


def test_a_text_of_nothing_but_secrets_is_replaced_as_a_whole() -> None:
    """If there is more to examine than the limit allows, nothing of the text is kept."""
    assert redacted("".join(f'password="{number:08}x"\n' for number in range(50_000))) == TOO_MANY


def _redact_in_child(text: str) -> None:
    os._exit(0 if redacted(text) != text else 1)


def test_forked_while_another_thread_searches() -> None:
    """A child redacts although another thread of its parent was redacting when it was forked."""
    text = "x" * 200_000 + f" {'gh' + 'p_'}{made(36)}"
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            redacted(text)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = multiprocessing.get_context("fork").Process(target=_redact_in_child, args=(text,))
            child.start()
            child.join(60)
            assert child.exitcode == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _redact_as_compiled(compiled: list[Any]) -> None:
    redacted("plain text")
    os._exit(0 if [*scan._compiled.values()] == compiled else 1)


def test_forked_while_nobody_searches() -> None:
    """A child uses the expressions that its parent compiled."""
    redacted("plain text")
    child = multiprocessing.get_context("fork").Process(target=_redact_as_compiled, args=([*scan._compiled.values()],))
    child.start()
    child.join(60)
    assert child.exitcode == 0


FORKS_IN_A_SEARCH = """
import os, signal, sys
from genesis_otel._ship.redaction.redact import recognised
child = None
def fork(*_):
    global child
    if child is None:
        child = os.fork()
signal.signal(signal.SIGALRM, fork)
key = "gh" + "p_" + "B3" * 18
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
while child is None:
    recognised("x y " * 50_000)
signal.setitimer(signal.ITIMER_REAL, 0, 0)
whole = recognised(f"x {key}") == "x [REDACTED]" and recognised("x y") == "x y"
if child == 0:
    os._exit(0 if whole else 1)
sys.exit(0 if whole and os.waitpid(child, 0)[1] == 0 else 1)
"""


def test_forked_by_a_signal_handler_in_the_middle_of_a_search() -> None:
    """Both processes redact after a signal handler has forked in the middle of a search."""
    subprocess.run([sys.executable, "-c", FORKS_IN_A_SEARCH], check=True, timeout=120)


def test_the_other_columns_of_a_table_stay() -> None:
    """Of a table only the secrets are replaced, also when it is in JSON; what stands after it stays."""
    table = "user,password,age\nme,hunter2,5\nyou,s3cr3t!pw,6\n\nDone.\n"
    expected = "user,password,age\nme,[REDACTED],5\nyou,[REDACTED],6\n\nDone.\n"
    assert redacted(table) == expected
    assert json.loads(redacted(json.dumps({"file": table, "n": [1]}))) == {"file": expected, "n": [1]}
    tabbed = json.dumps("user\tpassword\tage\nme\thunter2\t5\n")
    assert json.loads(redacted(tabbed)) == "user\tpassword\tage\nme\t[REDACTED]\t5\n"
    markdown = "# Users\n\n| user | password | age |\n|:--|---|--:|\n| me | hunter2 | 5 |\n\nDone: hunter2 left.\n"
    assert redacted(markdown) == markdown.replace("| hunter2 |", "| [REDACTED] |")


def test_a_long_table_of_secrets_is_replaced_from_some_row_on() -> None:
    """None of a thousand passwords is left, and the text around the table is."""
    rows = "".join(f"name{number},pass!word{number}\n" for number in range(1000))
    cleaned = redacted(f"{'x = 1' * 200_000}\nuser,password\n{rows}\nafter\n")
    assert "pass!word" not in cleaned and cleaned.endswith("[REDACTED]\n\nafter\n")
    assert "name7,[REDACTED]" in cleaned


def test_own_patterns_join_the_default_ones() -> None:
    """Custom regular expressions redact too, alone if wanted; the error for an invalid one quotes it."""
    key = "AK" + "IA" + "B3" * 8
    assert redactor([r"ACME-\d+"])(f"ACME-12 {key}") == "[REDACTED] [REDACTED]"
    assert redactor([r"ACME-\d+"], defaults=False)(f"ACME-12 {key}") == f"[REDACTED] {key}"
    assert redactor(["(ACME)?"])("an ACME x") == "an [REDACTED] x"
    with pytest.raises(ValueError, match=r"\(unclosed"):
        redactor(["(unclosed"])


SECRET_NAMES = (
    *(
        "api_key",
        "api-key",
        "apiKey",
        "API_KEY",
        "OPENAI_API_KEY",
        "openai_key",
        "OpenAIKey",
        "token",
        "hf_token",
        "HF_TOKEN",
        "auth_token",
    ),
    *(
        "authorization",
        "Proxy-Authorization",
        "dsn",
        "DATABASE_DSN",
        "cookie",
        "Set-Cookie",
        "passphrase",
        "password",
        "db.password",
        "passwd",
    ),
    *(
        "PGPASSWORD",
        "pwd",
        "secret",
        "client_secret",
        "clientSecret",
        "SecretAccessKey",
        "aws_session_token",
        "private_key",
        "credentials",
    ),
    *(
        "connection_string",
        "webhook_url",
        "x-api-key",
        "http.request.header.authorization",
        "API_KEY_2",
        "password_prod",
        "api_keys",
        "key",
    ),
)
OTHER_NAMES = (
    *(
        "max_tokens",
        "total_tokens",
        "token_count",
        "token_limit",
        "eos_token",
        "pad_token",
        "tokenizer",
        "sort_key",
        "primary_key",
        "cache_key",
    ),
    *(
        "key_size",
        "monkey",
        "compass",
        "password_file",
        "secret_name",
        "public_key",
        "author",
        "authority",
        "keyboard",
        "name",
        "seed",
        "bypass_",
    ),
    *("gen_ai.usage.input_tokens", "llm.token_count.prompt", "db.statement", "tokens", "passing", "cookiecutter"),
)


def test_one_list_of_names() -> None:
    """Names of settings whose values are secrets, in any spelling, and names that only look like them."""
    assert [name for name in SECRET_NAMES if not is_secret_name(name)] == []
    assert [name for name in OTHER_NAMES if is_secret_name(name)] == []


def test_in_a_program_the_value_decides() -> None:
    """``token`` is a common word in a parser: in a program the value decides."""
    assert kind_of("token") is Kind.LIKELY
    assert redacted('token = "whitespace"') == 'token = "whitespace"'
    assert REDACTED in redacted(f'token = "{made(32)}"')


def test_settings_named_like_secrets_are_redacted() -> None:
    """In a configuration the value of an `api_key` is removed whatever it is, also a number or a list; `max_tokens`
    stays."""
    config = {
        "llm": {"api_key": "plain words", "max_tokens": 5, "models": [{"OPENAI_API_KEY": "x", "name": "m"}]},
        "password": "",
        "monkey": "banana",
        "tokenizer": "bpe",
        "hf_token": 12345,
        "credentials": {"user": "u", "key": ["a"]},
        "api_keys": ["a", "b"],
        "use_token": True,
        "secret": None,
    }
    found = json.loads(without_secrets(json.dumps(config)))
    assert found == {
        "llm": {"api_key": REDACTED, "max_tokens": 5, "models": [{"OPENAI_API_KEY": REDACTED, "name": "m"}]},
        "password": "",
        "monkey": "banana",
        "tokenizer": "bpe",
        "hf_token": REDACTED,
        "credentials": REDACTED,
        "api_keys": REDACTED,
        "use_token": True,
        "secret": None,
    }
    assert without_secrets("api_key: not JSON") == "api_key: not JSON"


ENDS_BESIDE_THREADS = """
import threading, time
from genesis_otel._ship.redaction.redact import recognised

found = []

def search():
    while True:
        found.append(recognised("x = 1\\n" * 20_000 + "password = 'hunter2'"))

for _ in range(4):
    threading.Thread(target=search, daemon=True).start()
while len(found) < 8:
    time.sleep(0.01)
"""


def test_a_process_ends_well_beside_daemon_threads_that_search() -> None:
    """A daemon thread that is searching when the interpreter ends does not abort the process, as RE2's wrapper would."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", ENDS_BESIDE_THREADS], capture_output=True, timeout=100, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_thread_searches_the_same_when_the_process_is_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter ends, other threads find what they would have found before."""
    monkeypatch.setattr(scan, "_ending", [0])
    for secret in SECRETS[::10]:
        assert secret.hidden not in redacted(secret.text)
