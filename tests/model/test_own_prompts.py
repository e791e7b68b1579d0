"""What Figures 6 and 7 expect of a user's prompts: beginnings in tokens, lengths of answers, room in the caches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from gpuassay.systems.llmd.model.policies import PRECISE
from gpuassay.systems.llmd.model.prefix_cache import CacheShape
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, distinct_traffic, simulate
from gpuassay.systems.llmd.objects.prompt_files import BadPromptFile, Given, give, given
from gpuassay.systems.llmd.objects.prompts import Prompt, words
from gpuassay.systems.llmd.objects.tokens import count
from suites.llmd.performance import load67
from suites.llmd.test_any_gateway import LEAST_STREAMED, MOST, MOST_TOKENS, streamed


def asked(tmp_path: Path, rows: Sequence[Mapping[str, object]]) -> load67.Asked:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    try:
        give(path)
        return load67.asked()
    finally:
        give(None)


def chats(system: str) -> list[Mapping[str, object]]:
    return [
        {"messages": [{"role": "system", "content": system}, {"role": "user", "content": words(1, f"u{i}", 300)}]}
        for i in range(32)
    ]


def test_the_papers_prompts_are_asked_where_none_are_given() -> None:
    give(None)
    assert given() is None
    load = load67.asked()
    assert (len(load.prompts), load.cache, load.own) == (32, load67.CACHE, None)


def test_chats_with_one_system_prompt_share_its_blocks(tmp_path: Path) -> None:
    """Red when beginnings are compared in words: `### system:` and so on are more tokens than words."""
    load = asked(tmp_path, chats(words(1, "system", 200)))
    assert load.own is not None
    chains = load.own.chains
    shared = sum(len({chain[place] for chain in chains}) == 1 for place in range(min(map(len, chains))))
    assert shared == (200 + count("### system: ### user: ")) // 16
    assert load67.load_of_note(load.own).alike
    noted = load67.OWN_PROMPTS.read({"own_prompts": load67.OWN_PROMPTS.as_json(load.own)}, "recorded")
    assert noted is not None
    cold, _ = load67.modelled("random", 16, 1, load67.load_of_note(noted))
    alone = load67.load_of_note(msgspec.structs.replace(load.own, chains=[]))
    apart, _ = load67.modelled("random", 16, 1, alone)
    assert cold.hit_rate.low > apart.hit_rate.high + 0.05


def test_text_without_blanks_has_a_hit_rate(tmp_path: Path) -> None:
    """Red when Chinese prompts have no tokens, so that their hit rate is 0 / 0."""
    load = asked(tmp_path, [{"prompt": chr(0x4E00 + i) + "你好世界" * 30} for i in range(8)])
    assert load.own is not None
    assert not load67.load_of_note(load.own).alike
    _, warm = load67.modelled("precise", 16, 1, load67.load_of_note(load.own))
    assert warm.hit_rate.mean == pytest.approx(112 / 121)


@pytest.mark.parametrize("tokens", [40, 850, 9_000])
def test_caches_hold_the_papers_share_of_prompts_of_any_length(tmp_path: Path, tokens: int) -> None:
    """Red when prompts longer than the paper's find no room for 16 at a time, which a sound replica then refuses."""
    load = asked(tmp_path, [{"prompt": words(2, f"p{i}", tokens + i)} for i in range(32)])
    assert 0.97 < load.cache.blocks * 16 / (tokens + 15.5) / load67.HELD < 1.25  # most for blocks that are not full
    longest = sorted(-(-one.tokens // 16) for one in load.prompts)[-16:]
    assert load.cache.blocks >= sum(longest)
    assert load.timeout >= 30


def test_a_file_that_is_too_long_is_cut_with_a_word(tmp_path: Path) -> None:
    load = asked(tmp_path, [{"prompt": f"number {i}"} for i in range(100)])
    assert load.own is not None
    assert len(load.prompts) == load67.MOST == len(load.own.prompts)
    assert load.own.said[-1] == "Figures 6 and 7 ask the first 64 of 100"


def test_prompts_beyond_the_arms_model_servers_are_left_out(tmp_path: Path) -> None:
    """Red when a prompt that every model server must refuse is asked, or left out without a word."""
    long = {"prompt": "word " * load67.LONGEST}
    load = asked(tmp_path, [long, {"prompt": "hi"}])
    assert [one.text for one in load.prompts] == ["hi"]
    assert load.own is not None and "1 are longer than the 131072 tokens that an arm takes" in load.own.said
    with pytest.raises(BadPromptFile, match="all are longer than the 131072 tokens that an arm takes"):
        asked(tmp_path, [long])


def test_answers_take_the_time_of_their_own_length() -> None:
    """Red when the model lets every answer have the same length although a file tells other ones."""
    platform = Platform(1, CacheShape(99, 16), LatencyLaw(0.1, 0.0, inter_token=0.01, output_tokens=11))
    traffic = distinct_traffic([16, 16], [[0, 1]], 16)
    [plain] = simulate(traffic, platform, PRECISE)
    assert [one.e2e for one in plain.done] == pytest.approx([0.2, 0.2])
    [told] = simulate(type(traffic)(traffic.lengths, traffic.chains, traffic.passes, (101, None)), platform, PRECISE)
    assert [one.e2e for one in told.done] == pytest.approx([1.1, 0.2])
    with pytest.raises(ValueError, match="1 lengths of answers for 2 prompts"):
        type(traffic)(traffic.lengths, traffic.chains, traffic.passes, (5,))


def test_streams_are_long_enough_to_tell_and_not_too_many() -> None:
    """Red when an answer of one token is judged as a stream that came in one piece, or a data set is streamed whole."""
    short, plain = Prompt("a", "hi", 1, max_tokens=LEAST_STREAMED - 1), Prompt("b", "hi", 1)
    long = Prompt("c", "hi", 1, max_tokens=MOST_TOKENS)
    assert streamed([short, plain, long]) == [plain]
    assert streamed([long]) == [long]
    assert len(streamed([plain] * 200)) == MOST
    assert Given("f", (short,)).lines()[0].endswith("1 tell how long the answer is")
