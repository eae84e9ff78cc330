"""Texts as JSON by the compiled encoder: identical to Python's own, to the last character."""

from __future__ import annotations

import sys
from json.encoder import encode_basestring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_otel._emit import json_values
from genesis_otel._emit.messages import input_messages, output_messages
from genesis_otel._ship.encoding.json_text import quoted


class Text(str):
    """A text that takes the slow path."""


def test_every_character_is_written_as_by_pythons_encoder() -> None:
    """Every character that UTF-8 can encode, alone and in one text with all others."""
    characters = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    assert [each for each in characters if quoted(each) != encode_basestring(each)] == []
    assert quoted("".join(characters)) == encode_basestring("".join(characters))


@pytest.fixture(params=["compiled", "python"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the encoder that `configure` sets, and with the one available with the API alone."""
    monkeypatch.setattr(json_values, "_quote", quoted if request.param == "compiled" else encode_basestring)


texts = st.one_of(st.text(), st.text(st.characters(codec=None), max_size=8).map(lambda text: text * 30))


@pytest.mark.usefixtures("encoder")
def test_text_messages_are_written_like_others() -> None:
    """Messages and answers that are texts take a fast path, which gives the same JSON as the general one, including
    lone surrogates and texts that are too long."""

    @given(
        st.lists(st.fixed_dictionaries({"role": texts, "content": texts})), texts, st.sampled_from(["", "stop", 'a"b'])
    )
    def same(messages: list[dict[str, str]], answer: str, reason: str) -> None:
        assert input_messages(messages) == input_messages(tuple(messages))
        assert input_messages(answer) == input_messages(Text(answer))
        assert output_messages(answer, "", reason) == output_messages(Text(answer), "", reason)

    same()
    long = [{"role": "user", "content": "x" * (json_values.MOST + 1)}]
    assert input_messages(long) == input_messages(tuple(long))
    assert output_messages("x" * (json_values.MOST + 1)) == output_messages(Text("x" * (json_values.MOST + 1)))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": "x", "name": "n"}],
        [{"role": "user", "text": "x"}],
        [{"role": 1, "content": "x"}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}, {"role": "user", "content": "x"}],
        ["x"],
    ],
)
def test_other_messages_take_the_general_path(messages: list[object]) -> None:
    """Anything more or less than a role and a text is written as before."""
    assert input_messages(messages) == input_messages(tuple(messages))
