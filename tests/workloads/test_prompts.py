"""Prompts have exactly the lengths and prefixes that they claim."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.llmd.objects.prompts import (
    Prompt,
    conversations,
    gaussian_lengths,
    paper_prompts,
    prompt_set,
    shared_prefix,
    shuffled_order,
    synthetic,
    words,
)
from gpuassay.systems.llmd.objects.tokens import chat_text, count, token_ids

QUIET = settings(derandomize=True, deadline=None, max_examples=50)


def common(a: Prompt, b: Prompt) -> int:
    """Tokens that two prompts begin with in common."""
    same = 0
    for mine, theirs in zip(token_ids(a.text), token_ids(b.text), strict=False):
        if mine != theirs:
            break
        same += 1
    return same


@QUIET
@given(st.integers(0, 400), st.integers(0, 99))
def test_a_prompt_has_exactly_the_tokens_asked_for(tokens: int, seed: int) -> None:
    """Red when a length is off by one: exact block counts would be wrong."""
    prompt = synthetic("p", tokens, seed)
    assert count(prompt.text) == prompt.tokens == tokens
    assert prompt == synthetic("p", tokens, seed)


def test_a_text_of_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a text of -1 tokens"):
        words(0, "p", -1)


def test_no_two_prompts_share_a_token_at_the_start() -> None:
    """Red when labels or seeds do not tell prompts apart: then a cold pass would hit."""
    prompts = prompt_set([20] * 120) + prompt_set([20] * 120, seed=1)
    assert len({token_ids(p.text)[0] for p in prompts}) == 240
    assert [p.label for p in prompts[:3]] == ["p000", "p001", "p002"]


@pytest.mark.parametrize(("scale", "total"), [(1.0, 272_000), (0.1, 27_200)])
@pytest.mark.parametrize("seed", range(5))
def test_the_papers_prompts_add_up(scale: float, total: int, seed: int) -> None:
    """Red when the sum of the lengths, the number of prompts or their spread is not the paper's load."""
    prompts = paper_prompts(seed, scale)
    lengths = [p.tokens for p in prompts]
    assert len(prompts) == 32
    assert sum(lengths) == total
    mean = total / 32
    deviation = (sum((one - mean) ** 2 for one in lengths) / 32) ** 0.5
    assert 0.2 < deviation / mean < 0.5
    assert min(lengths) >= mean / 10 - 1
    assert all(count(p.text) == p.tokens for p in prompts[:4])


@QUIET
@given(
    st.integers(1, 40),
    st.floats(1, 2000),
    st.integers(0, 9),
    st.floats(0, 1),
    st.integers(1, 20),
    st.integers(0, 30_000),
)
def test_lengths_meet_a_total(n: int, mean: float, seed: int, share: float, least: int, above: int) -> None:
    """Red when lengths miss the total, fall below the least, or the search for them does not end."""
    total = n * least + above
    found = gaussian_lengths(n, mean, seed, share=share, least=least, total=total)
    assert sum(found) == total
    assert min(found) >= least


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0, "mean": 1}, {"n": 1, "mean": 0}, {"n": 1, "mean": 1, "least": 0}, {"n": 9, "mean": 1, "total": 8}],
)
def test_lengths_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"lengths need|more than 8 tokens"):
        gaussian_lengths(**wrong)


@QUIET
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))
def test_every_round_holds_every_prompt_once(n: int, repeats: int, seed: int) -> None:
    """Red when a prompt is asked more often than another one, or twice in a round."""
    order = shuffled_order(n, repeats, seed)
    assert len(order) == n * repeats
    for start in range(0, len(order), n):
        assert sorted(order[start : start + n]) == list(range(n))
    assert order == shuffled_order(n, repeats, seed)


def test_rounds_differ() -> None:
    """Red when the order is cyclic: round robin then hits by accident (32 prompts on 8 replicas)."""
    order = shuffled_order(32, 8, 1)
    rounds = [tuple(order[i : i + 32]) for i in range(0, 256, 32)]
    assert len(set(rounds)) == 8
    assert order != shuffled_order(32, 8, 2)


def test_a_group_shares_its_prefix_and_no_more() -> None:
    """Red when a shared prefix is shorter or longer than said, or reaches into another group."""
    prompts = shared_prefix(3, 4, 64, 16, seed=5)
    assert Counter(p.group for p in prompts) == {"g0": 4, "g1": 4, "g2": 4}
    for a in prompts:
        assert count(a.text) == a.tokens == 80
        for b in prompts:
            if a.label != b.label:
                assert common(a, b) == (64 if a.group == b.group else 0)


def test_each_turn_extends_the_turn_before() -> None:
    """Red when a chat's next turn does not begin with all of its last one, or chats share more than the system text."""
    prompts = conversations(3, 4, system_tokens=50, user_tokens=20, answer_tokens=30)
    assert [p.label for p in prompts[:4]] == ["c0.t0", "c1.t0", "c2.t0", "c0.t1"]
    heading = count(chat_text([("system", words(0, "system", 50).rstrip())]))
    for chat in range(3):
        turns = [p for p in prompts if p.group == f"c{chat}"]
        assert turns[0].shared_tokens == heading
        for before, after in pairwise(turns):
            assert common(before, after) == before.tokens == after.shared_tokens
        for turn in turns:
            assert chat_text(turn.messages) == turn.text
            assert count(turn.text) == turn.tokens
    first, second = prompts[0], prompts[1]
    assert common(first, second) == heading + len(["#", "#", "# ", "user", ": "])
