"""Prompts that are asked of a model: seeded, of an exact number of tokens, sharing exactly as much as they should.

Lengths are in tokens of the simulator's tokenizer (`gpuassay.systems.llmd.objects.tokens`); another model's tokenizer
makes other lengths of the same text, so there they are the order of magnitude only. No two prompts begin with the
same token, unless they share a prefix by design; and since a cached block stands for all that comes before it,
nothing else is shared.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay.systems.llmd.objects.tokens import Message, chat_text, count

PAPER_PROMPTS, PAPER_TOKENS, PAPER_REPEATS = 32, 272_000, 8
"""The paper's load: 32 prompts of about 8,500 tokens, 272,000 in all, each asked 8 times."""

LENGTH_SHARE = 0.35
"""Standard deviation of the lengths as a share of their mean; assumed, for the paper does not print the spread."""


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        label: names it in load rows, stickiness tables and figures; unique within a set.
        text: what a completion request asks.
        tokens: its length in tokens of the simulator.
        group: prompts of one group begin alike; "" for a prompt that shares nothing.
        shared_tokens: how many tokens at its beginning it has in common with its group.
        messages: what a chat request asks, for a prompt that is a chat; `text` then is the chat as the simulator sees
            it, and `tokens` its length.
        max_tokens: length of the answer in tokens that its source tells; None where the load decides.
        chat: the messages as they are posted to /v1/chat/completions, tool calls included; empty for a prompt whose
            `text` is posted to /v1/completions.
    """

    label: str
    text: str
    tokens: int
    group: str = ""
    shared_tokens: int = 0
    messages: tuple[Message, ...] = ()
    max_tokens: int | None = None
    chat: tuple[Mapping[str, Any], ...] = ()


def words(seed: int | str, name: str, tokens: int) -> str:
    """Text of exactly `tokens` tokens, one word each, that begins as no other (seed, name) does.

    The first word has 60 random bits; the others are short (6 bytes a token, about as in English), from a vocabulary
    of 65,536. Texts of one seed and name are prefixes of each other. Raises ValueError if `tokens` is negative.
    """
    if tokens < 0:
        raise ValueError(f"{name}: a text of {tokens} tokens cannot be made")
    source = random.Random(f"{seed}/{name}")
    first = f"w{source.getrandbits(60):015x} "
    return (first + "".join(f"w{source.getrandbits(16):04x} " for _ in range(tokens - 1))) if tokens else ""


def synthetic(label: str, tokens: int, seed: int = 0) -> Prompt:
    """A prompt of exactly `tokens` tokens that shares no prefix with one of another label or seed."""
    return Prompt(label, words(seed, label, tokens), tokens)


def gaussian_lengths(
    n: int, mean: float, seed: int = 0, *, share: float = LENGTH_SHARE, least: int = 1, total: int | None = None
) -> list[int]:
    """Lengths in tokens, normally distributed with standard deviation `share` x `mean`, none below `least`.

    Args:
        n: how many.
        mean: tokens.
        seed: the same seed gives the same lengths.
        share: spread relative to the mean; 0 makes all equal.
        least: smallest length in tokens.
        total: if given, the lengths are shifted by a few tokens each so that they add up to it.

    Raises:
        ValueError: n, mean or least is not positive, share is negative, or `total` cannot be met.
    """
    if n < 1 or not mean > 0 or least < 1 or share < 0:
        got = f"n={n}, mean={mean}, least={least}, share={share}"
        raise ValueError(f"lengths need n, mean and least above 0 and share >= 0, not {got}")
    source = random.Random(f"lengths/{seed}")
    found = [max(least, round(source.gauss(mean, share * mean))) for _ in range(n)]
    if total is None:
        return found
    if total < n * least:
        raise ValueError(f"{n} prompts of at least {least} tokens have more than {total} tokens in total")
    while (missing := total - sum(found)) != 0:
        # Whoever is above the least can give, everybody can take: evenly, the remainder to the first ones.
        able = [i for i in range(n) if missing > 0 or found[i] > least]
        each, rest = divmod(abs(missing), len(able))
        for place, index in enumerate(able):
            step = each + (place < rest)
            found[index] = found[index] + step if missing > 0 else max(least, found[index] - step)
    return found


def prompt_set(lengths: Sequence[int], seed: int = 0, prefix: str = "p") -> list[Prompt]:
    """Prompts of the given lengths in tokens, labelled p00, p01, ..., that share nothing."""
    width = max(2, len(str(max(len(lengths) - 1, 0))))
    return [synthetic(f"{prefix}{i:0{width}d}", tokens, seed) for i, tokens in enumerate(lengths)]


def paper_prompts(seed: int = 0, scale: float = 1.0) -> list[Prompt]:
    """The paper's 32 prompts, 272,000 tokens in all, times `scale` (0.1: 27,200 tokens, 850 on average).

    Raises ValueError unless 0 < scale <= 1 (a shorter prompt than 1 token is none, a longer one was not in the paper).
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale must lie in (0, 1], not {scale}")
    total = round(PAPER_TOKENS * scale)
    mean = total / PAPER_PROMPTS
    # A tenth of the mean keeps a prompt longer than a block at every scale used.
    lengths = gaussian_lengths(PAPER_PROMPTS, mean, seed, least=max(1, round(mean / 10)), total=total)
    return prompt_set(lengths, seed)


def shuffled_order(n: int, repeats: int, seed: int = 0) -> list[int]:
    """In which order n prompts are asked `repeats` times each: rounds of all n, each round in an order of its own.

    Rounds in one and the same order would let round robin hit by accident whenever the replicas divide n. The same
    seed gives the same order. Raises ValueError unless both are at least 1.
    """
    if n < 1 or repeats < 1:
        raise ValueError(f"an order needs at least one prompt and one repeat, not {n} and {repeats}")
    source = random.Random(f"order/{seed}")
    order: list[int] = []
    for _ in range(repeats):
        order += source.sample(range(n), n)
    return order


def shared_prefix(groups: int, per_group: int, prefix_tokens: int, own_tokens: int, seed: int = 0) -> list[Prompt]:
    """Prompts of `groups` groups; those of one begin with the same `prefix_tokens` tokens and end each on their own.

    Labels are g0.0, g0.1, ..., g1.0. Raises ValueError unless there is at least one group with one prompt.
    """
    if groups < 1 or per_group < 1:
        raise ValueError(f"at least one group of one prompt, not {groups} x {per_group}")
    found: list[Prompt] = []
    for group in (f"g{i}" for i in range(groups)):
        prefix = words(seed, f"{group}/prefix", prefix_tokens)
        for one in range(per_group):
            label = f"{group}.{one}"
            text = prefix + words(seed, label, own_tokens)
            found.append(Prompt(label, text, prefix_tokens + own_tokens, group, prefix_tokens))
    return found


def conversations(
    n: int, turns: int, *, system_tokens: int, user_tokens: int, answer_tokens: int, seed: int = 0
) -> list[Prompt]:
    """Chats of several turns, one prompt per turn: turn t holds all messages before it, so it extends turn t - 1.

    The assistant's earlier answers are made up here, not taken from the server: so bodies can be written before the
    clock starts, and a server that answers something else still caches what it was asked. All chats begin with one
    system message. Labels are c0.t0, c0.t1, ...; the prompts are ordered turn by turn, as concurrent users send them.
    Lengths are tokens of one message's content. Raises ValueError unless there is at least one chat with one turn.
    """
    if n < 1 or turns < 1:
        raise ValueError(f"at least one chat of one turn, not {n} x {turns}")
    system: Message = ("system", words(seed, "system", system_tokens).rstrip())
    found: list[Prompt] = []
    chats: list[list[Message]] = [[system] for _ in range(n)]
    shared = [count(chat_text([system]))] * n
    for turn in range(turns):
        for chat, messages in enumerate(chats):
            messages.append(("user", words(seed, f"c{chat}/user{turn}", user_tokens).rstrip()))
            text = chat_text(messages)
            found.append(
                Prompt(f"c{chat}.t{turn}", text, count(text), f"c{chat}", shared[chat], messages=tuple(messages))
            )
            shared[chat] = found[-1].tokens
            messages.append(("assistant", words(seed, f"c{chat}/answer{turn}", answer_tokens).rstrip()))
    return found
