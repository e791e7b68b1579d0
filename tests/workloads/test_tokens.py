"""The simulator's dummy tokenizer, as its source defines it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.llmd.objects.tokens import (
    chat_text,
    chat_token_ids,
    count,
    pieces,
    readable,
    token_id,
    token_ids,
)

QUIET = settings(derandomize=True, deadline=None, max_examples=100)


def test_known_hashes() -> None:
    """Red when the hash is not FNV-1a of 32 bits (values from the algorithm's published test vectors)."""
    assert token_id("") == 0x811C9DC5
    assert token_id("a") == 0xE40C292C
    assert token_id("foobar") == 0xBF9CF968


def test_white_space_belongs_to_the_token_before_it() -> None:
    """Red when tokens are hashed without it: then the index knows other blocks than the engine, and nothing hits."""
    assert pieces("The quick,  brown\nfox. ") == ["The ", "quick", ",  ", "brown\n", "fox", ". "]
    assert token_ids("a b") != token_ids("a\nb")
    assert len({token_id("a"), token_id("a "), token_id("a\n")}) == 3


def test_a_leading_underscore_is_a_token_of_its_own() -> None:
    """Red when words go before punctuation: upstream lists the underscore among the marks, and the first match wins."""
    assert pieces("_a_b __") == ["_", "a_b ", "_", "_"]


def test_other_characters_are_skipped() -> None:
    """Red when letters beyond ASCII count: Go's \\w and \\s are ASCII only (a vertical tab is no white space there)."""
    assert pieces("é\u00e9x|y`\u00a0 z\v ü") == ["x", "y", "z"]
    assert token_ids("") == token_ids(" \n äöü") == []


@QUIET
@given(st.lists(st.text(string.ascii_letters + string.digits, min_size=1), max_size=50))
def test_a_word_and_a_blank_is_one_token(words: list[str]) -> None:
    """Red when prompts of n words are not n tokens long."""
    assert count("".join(f"{word} " for word in words)) == len(words)


@QUIET
@given(st.text(), st.text())
def test_a_longer_text_keeps_the_tokens_of_its_beginning(one: str, more: str) -> None:
    """Red when a prompt that extends another one does not share its prefix, so that no multi-turn chat could hit."""
    whole = one + " " if not one.endswith(" ") else one
    assert token_ids(whole + "x" + more)[: count(whole)] == token_ids(whole)


def test_a_chat_is_its_messages_under_headings() -> None:
    """Red when the text that a chat is turned into changes by a byte."""
    messages = [("system", "be brief"), ("user", "hi")]
    assert chat_text(messages) == "### system: be brief\n### user: hi\n"
    system, user = ["#", "#", "# ", "system", ": ", "be ", "brief\n"], ["#", "#", "# ", "user", ": ", "hi\n"]
    assert pieces(chat_text(messages)) == system + user
    assert chat_token_ids(messages) == token_ids(chat_text(messages))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("plain text, as it is.", 7),
        ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", 6),  # Chinese: a character is a token, and so are its marks
        ("\u3053\u3093\u306b\u3061\u306f", 5),
        ("\uc548\ub155", 2),
        ("\u0e2a\u0e27\u0e31", 3),  # Thai
        ("\U0001f600\U0001f600", 2),
        ("d\u00e9j\u00e0 vu", 2),  # letters with accents stay in their word
        ("\u0434\u043e\u0431\u0440\u044b\u0439 \u0434\u0435\u043d\u044c", 2),
        ("a\u4f60b", 3),
        ("one\u3000two\u00a0three", 3),
        ("`a` | b", 5),
        (" \n", 0),
    ],
)
def test_text_without_blanks_has_tokens(text: str, tokens: int) -> None:
    """Red when what the simulator would skip has no tokens, or text that it knows is changed."""
    assert count(readable(text)) == tokens
    assert readable(text).isascii()
    assert not text.isascii() or "`" in text or readable(text) == text


@QUIET
@given(st.text(), st.text())
def test_equal_beginnings_stay_equal(one: str, more: str) -> None:
    """Red when a text that extends another does not begin as it does."""
    assert readable(one + more).startswith(readable(one))
