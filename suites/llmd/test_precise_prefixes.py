"""Precise prefix routing, prompt by prompt: what sticks, for how many tokens, and what must not be shared."""

from __future__ import annotations

import json

import requests

from gpuassay import MUST, SHOULD, Measure, Note, behaviour, known_defect, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.scheduling import chat_request, events_held, pick
from gpuassay.systems.llmd.component.simulator import NO_LATENCY
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import metrics as routing_metrics
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.judge.scheduling_picks import (
    TWINS_APART,
    apart,
    apart_findings,
    drawn_findings,
    only_findings,
    placed_findings,
)
from gpuassay.systems.llmd.objects.prompts import Prompt, conversations, prompt_set, synthetic
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.prefixes import beginning, put

SPEC = "https://github.com/llm-d/llm-d-kv-cache"

REPLICAS = 4
NAMES = [f"model-server-{i}" for i in range(REPLICAS)]
DRAWING = 0
"""The replica that caches prompts which must not draw other requests there; the one that a broken pool would keep."""
TOKENS = 200
FULL = TOKENS // 16 * 16
"""Tokens of the full blocks of a prompt: what can be cached."""
REPEATS = 5
TWINS = 8
ADAPTERS = ("--lora-modules", json.dumps({"name": "sql", "path": "sql"}), "--max-loras", "2")


CHATS = Note("chats", dict[str, str], "the replica that was warmed with each chat, by label")


@scenario(system="routing", timeout=40)
def prefixes(lab: RoutingLab) -> None:
    """Repeats, prefixes of several lengths, short prompts, chats, salts and adapters, on one precise deployment."""
    arm = Arm(replicas=REPLICAS, latency=NO_LATENCY, events="forwarder", simulator_flags=ADAPTERS)
    with opened(lab, arm) as site:
        prompts = prompt_set([TOKENS] * 6, seed=31)
        site.scrape("before")
        for number in range(REPEATS):
            site.ask("first" if number == 0 else "repeat", prompts)
        site.scrape("after")

        longs = prompt_set([TOKENS] * 6, seed=32, prefix="long")
        put(site, [beginning(long, 64) for long in longs], 1)
        put(site, [beginning(long, 128) for long in longs], 2)
        site.ask("longest", longs)

        pick(site, "short", [synthetic(f"short{i}", 15, seed=33) for i in range(80)])

        chats = conversations(4, 1, system_tokens=4, user_tokens=TOKENS, answer_tokens=1, seed=34)
        forwarder = site.routing.forwarder
        assert forwarder is not None
        for number, chat in enumerate(chats):
            seen, replica = len(forwarder.events()), site.replicas[number % REPLICAS]
            chat_directly(site, number % REPLICAS, chat)
            forwarder.await_events(replica.topic, since=seen)
        lab.note(CHATS, {chat.label: NAMES[number % REPLICAS] for number, chat in enumerate(chats)})
        pick(site, "chat", chats, chat=True)

        shared = prompt_set([TOKENS] * 12, seed=35, prefix="shared")
        put(site, shared, DRAWING)
        pick(site, "base model", shared[:4])
        pick(site, "salted", shared[4:], cache_salt="tenant-b")
        adapted = prompt_set([TOKENS] * 12, seed=36, prefix="adapted")
        put(site, adapted, DRAWING)
        pick(site, "adapter", adapted, model="sql")
        own = prompt_set([TOKENS] * 4, seed=37, prefix="own")
        site.ask("adapter first", own, model="sql")
        for _ in range(3):
            site.ask("adapter repeat", own, model="sql")


def chat_directly(site: Deployment, replica: int, chat: Prompt) -> None:
    """Ask one replica for a chat completion, behind the picker's back."""
    url = f"{site.replicas[replica].url}/v1/chat/completions"
    requests.post(url, json=chat_request(site, chat), timeout=5).raise_for_status()


@scenario(system="routing", timeout=40)
def twins(lab: RoutingLab) -> None:
    """Eight identical concurrent requests for each of five new prompts, before any KV-cache event arrives."""
    for profile in ("precise", "precise-no-speculation"):
        with (
            opened(lab, Arm(profile=profile, replicas=REPLICAS, latency=NO_LATENCY), name=profile) as site,
            events_held(site),
        ):
            for number in range(5):
                site.ask(profile, [synthetic(f"{profile}/{number}", TOKENS, seed=38)] * TWINS, at_once=TWINS)


@behaviour(
    "llmd.precise.repeat-sticks", level=MUST, spec=SPEC, timed=True,
    red_when="a prompt is sent to another replica than the one that has just cached it", mutant="picker-random",
)  # fmt: skip
def test_a_repeated_prompt_stays_where_it_is_cached(prefixes: RoutingRecording) -> None:
    """Each of 6 prompts is answered by the same replica all five times."""
    rows = prefixes.asks("first") + prefixes.asks("repeat")
    assert not routing.failure_findings(rows) + routing.stickiness_findings(rows)


@behaviour(
    "llmd.precise.exact-hits", level=MUST, spec=SPEC, timed=True,
    red_when="the cached tokens of n requests for a prompt are not n - 1 times its full blocks", mutant="picker-random",
)  # fmt: skip
def test_cached_tokens_are_exact(prefixes: RoutingRecording) -> None:
    """The first request for a prompt has no cached tokens, and each of four repeats has all 12 full blocks cached."""
    first, more = prefixes.asks("first"), prefixes.asks("repeat")
    assert not routing.cached_findings(first, {row.label: 0 for row in first})
    assert not routing.cached_findings(more, {row.label: FULL for row in more})


@behaviour(
    "llmd.precise.counters-agree", level=MUST, spec=SPEC, timed=True,
    red_when="model servers count other prefix-cache hits than their responses report", mutant="picker-random",
)  # fmt: skip
def test_counters_agree_with_answers(prefixes: RoutingRecording) -> None:
    """Prefix-cache hit counters grow by exactly what responses report: n - 1 times the full blocks of each prompt."""
    rows = prefixes.asks("first") + prefixes.asks("repeat")
    before, after = prefixes.metrics("before"), prefixes.metrics("after")
    assert not routing_metrics.agreement_findings(rows, before, after)
    hits = routing_metrics.delta(before, after, "prefix_cache_hits")
    assert hits == (REPEATS - 1) * FULL * len(prefixes.asks("first")), hits


@behaviour(
    "llmd.precise.longest-prefix-wins", level=MUST, spec=SPEC, timed=True,
    red_when="a replica that has less of a prompt cached is preferred", mutant="picker-random",
)  # fmt: skip
def test_the_replica_with_the_longest_cached_prefix_is_picked(prefixes: RoutingRecording) -> None:
    """Where one replica has 64 tokens of a prompt cached and another 128, the second answers, with 128 cached."""
    rows = prefixes.asks("longest")
    assert not only_findings(rows, {NAMES[2]}) + routing.cached_findings(rows, {row.label: 128 for row in rows})


@behaviour(
    "llmd.precise.short-prompts-spread", level=MUST, spec=SPEC,
    red_when="prompts without a full block are not spread evenly", mutant="one-endpoint-left",
)  # fmt: skip
def test_prompts_without_a_full_block_are_spread(prefixes: RoutingRecording) -> None:
    """80 prompts of 15 tokens, too short to fill a block of 16, are spread evenly."""
    assert not routing.uniformity_findings(prefixes.asks("short"), NAMES, 80)


@behaviour(
    "llmd.precise.chat-follows-the-cache", level=MUST, spec=SPEC, timed=True,
    red_when="a chat does not go to the replica that has its prefix cached", mutant="tokenizer-off-by-one",
)  # fmt: skip
def test_a_chat_goes_to_the_replica_that_was_warmed_directly(prefixes: RoutingRecording) -> None:
    """Chat completions, rendered by the chat template, find the replica that was warmed directly."""
    assert not placed_findings(prefixes.asks("chat"), prefixes.note(CHATS))


@known_defect(
    "https://github.com/llm-d/llm-d-kv-cache/issues/47",
    "block keys of requests leave out the extra keys, cache_salt among them",
    shows="a router that cannot know found the warm replica",
)
@behaviour(
    "llmd.precise.salt-separates", level=SHOULD, spec="https://docs.vllm.ai/en/stable/design/prefix_caching/",
    red_when="a salted request is drawn to a replica that cached the prompt without that salt",
)  # fmt: skip
def test_salted_requests_do_not_share(prefixes: RoutingRecording) -> None:
    """Prompts with a cache_salt are not drawn to the replica that has them cached without it."""
    assert not drawn_findings(prefixes.asks("salted"), prefixes.note(notes.WARMED), REPLICAS)


@behaviour(
    "llmd.precise.adapter-separates", level=MUST, spec="https://github.com/llm-d/llm-d-kv-cache/pull/243", timed=True,
    red_when="a request for an adapter is drawn to a replica that cached the prompt for the base model",
    mutant="one-endpoint-left",
)  # fmt: skip
def test_adapters_do_not_share_with_the_base_model(prefixes: RoutingRecording) -> None:
    """Prompts for a LoRA adapter are not drawn to the replica that has them cached for the base model."""
    assert not routing.failure_findings(prefixes.asks("salted"))
    assert not placed_findings(prefixes.asks("base model"), prefixes.note(notes.WARMED))
    assert not drawn_findings(prefixes.asks("adapter"), prefixes.note(notes.WARMED), REPLICAS)


@behaviour(
    "llmd.precise.adapter-sticks", level=MUST, spec="https://github.com/llm-d/llm-d-kv-cache/pull/243", timed=True,
    red_when="a request for an adapter does not find the prefix that was cached for it", mutant="picker-random",
)  # fmt: skip
def test_an_adapters_prompt_sticks(prefixes: RoutingRecording) -> None:
    """Repeated requests for a LoRA adapter stay on one replica and hit all full blocks."""
    rows = prefixes.asks("adapter repeat")
    assert not routing.stickiness_findings(prefixes.asks("adapter first") + rows)
    assert not routing.cached_findings(rows, {row.label: FULL for row in rows})


@behaviour(
    "llmd.precise.speculative-twins", level=MUST, spec=SPEC, timed=True,
    red_when="identical concurrent requests are sent to different replicas before KV-cache events arrive",
    mutant="speculation-gate-missing",
)  # fmt: skip
def test_twins_stay_together_with_speculative_indexing(twins: RoutingRecording, measure: Measure) -> None:
    """With speculative indexing, at most 25 % of identical concurrent requests leave the replica of the majority."""
    rows = twins.asks("precise")
    measure.value(apart=apart(rows), apart_without=apart(twins.asks("precise-no-speculation")))
    measure.threshold(TWINS_APART)
    assert not routing.failure_findings(rows) + apart_findings(rows)


@behaviour(
    "llmd.precise.twins-split-without-speculation", level=SHOULD, spec="measurement: negative control",
    red_when="identical requests stay together even without speculative indexing, so that its test proves nothing",
    mutant="speculation-everywhere",
)  # fmt: skip
def test_twins_split_without_speculative_indexing(twins: RoutingRecording) -> None:
    """Without speculative indexing, more than 25 % of identical concurrent requests leave the majority's replica."""
    rows = twins.asks("precise-no-speculation")
    assert not routing.failure_findings(rows)
    assert apart_findings(rows)
