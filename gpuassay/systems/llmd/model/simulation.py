"""What a router makes of a set of replicas with prefix caches: who serves which request, what hits, how long it takes.

A discrete-event model. In a closed loop `concurrency` clients ask in a fixed order, each its next prompt when its last
answer is complete; in an open one asks come when they are due. Latency follows llm-d-inference-sim v0.10.2
(`pkg/llm-d-inference-sim/latencies.go`, per-token calculator):

    TTFT = (prefill overhead + uncached tokens x time per token) x load
    load = 1 + (factor - 1) (running - 1) / (max_num_seqs - 1)

with `running` counting the request itself. Not modelled, there as here: requests that slow down each other's prefill or
decode beyond that factor. The way through a gateway takes no time here; a live TTFT is larger by it.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gpuassay.stats.quantiles import quantile
from gpuassay.systems.llmd.model.policies import Caches, Policy, counts_only, router
from gpuassay.systems.llmd.model.prefix_cache import BlockCache, CacheShape, Chain, chains, distinct_chains
from gpuassay.systems.llmd.model.prefix_cache_segments import SegmentCache, segments


@dataclass(frozen=True)
class LatencyLaw:
    """How long a replica takes, in seconds. The defaults of `output_tokens` and the load factor switch both off."""

    prefill_overhead: float
    prefill_per_token: float
    inter_token: float = 0.0
    output_tokens: int = 1
    max_num_seqs: int = 32
    time_factor_under_load: float = 1.0

    def load(self, running: int) -> float:
        """The factor by which `running` requests slow each other down; 1 for one."""
        if self.max_num_seqs <= 1:
            return 1.0
        return 1 + (self.time_factor_under_load - 1) * (running - 1) / (self.max_num_seqs - 1)

    def ttft(self, uncached: int, running: int) -> float:
        """Seconds from a request's start to its first token."""
        return (self.prefill_overhead + uncached * self.prefill_per_token) * self.load(running)

    def decode(self, running: int, tokens: int | None = None) -> float:
        """Seconds from the first token to the last one, were the number of running requests to stay.

        `tokens` is the length of the answer where it is not `output_tokens`.
        """
        return ((tokens or self.output_tokens) - 1) * self.inter_token * self.load(running)


@dataclass(frozen=True)
class Platform:
    """Equal replicas with one cache each.

    `jitter` is the standard deviation of a TTFT relative to itself. Without it a policy that leaves nothing to chance
    (round robin) runs the same every time, and one that looks at the load runs in lock step.
    """

    replicas: int
    cache: CacheShape
    latency: LatencyLaw
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError without a replica, or for a negative jitter."""
        if self.jitter < 0:
            raise ValueError(f"jitter is a share of a TTFT, at least 0, not {self.jitter}")
        if self.replicas < 1:
            raise ValueError(f"a platform has at least one replica, not {self.replicas}")


@dataclass(frozen=True)
class Traffic:
    """What is asked: prompts by number, in passes; each begins when the last has ended, with caches as it left them.

    Attributes:
        lengths: tokens of each prompt.
        chains: blocks of each prompt.
        passes: the order of each pass.
        answers: tokens of each prompt's answer; None where the platform's law tells them (empty: everywhere).
    """

    lengths: tuple[int, ...]
    chains: tuple[Chain, ...]
    passes: tuple[tuple[int, ...], ...]
    answers: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        """ValueError if a pass asks for a prompt that there is not, or nothing, or answers are not told of each."""
        asked = {prompt for one in self.passes for prompt in one}
        if len(self.lengths) != len(self.chains) or not asked or not all(0 <= p < len(self.lengths) for p in asked):
            raise ValueError(f"passes must ask for some of the {len(self.lengths)} prompts, by number from 0")
        if self.answers and len(self.answers) != len(self.lengths):
            raise ValueError(f"{len(self.answers)} lengths of answers for {len(self.lengths)} prompts")

    @cached_property
    def segments(self) -> tuple[list[Chain], list[int]]:
        """The chains in segments, and the segments' sizes in blocks."""
        return segments(self.chains)


def distinct_traffic(lengths: Sequence[int], passes: Sequence[Sequence[int]], block_size: int) -> Traffic:
    """Traffic of prompts of these lengths (tokens) that share nothing."""
    return Traffic(tuple(lengths), tuple(distinct_chains(lengths, block_size)), tuple(map(tuple, passes)))


def token_traffic(prompts: Sequence[Sequence[int]], passes: Sequence[Sequence[int]], block_size: int) -> Traffic:
    """Traffic of prompts given by their token ids, which share the beginnings that they share."""
    return Traffic(tuple(map(len, prompts)), tuple(chains(prompts, block_size)), tuple(map(tuple, passes)))


@dataclass(frozen=True)
class Served:
    """One request: prompt and replica by number, tokens, seconds from the run's beginning and from `start`.

    `refused` is a request that the replica had no room for (the simulator answers 500); its times are 0.
    """

    prompt: int
    replica: int
    prompt_tokens: int
    cached_tokens: int
    start: float
    ttft: float
    e2e: float
    refused: bool = False


@dataclass(frozen=True)
class Pass:
    """What came of a pass, in order of completion."""

    served: tuple[Served, ...]

    @property
    def done(self) -> list[Served]:
        """The requests that were answered. Raises ValueError if none was."""
        found = [one for one in self.served if not one.refused]
        if not found:
            raise ValueError("every request was refused: the replicas have no room for these prompts")
        return found

    @property
    def hit_rate(self) -> float:
        """Cached prompt tokens over prompt tokens, as the counters of a replica have it."""
        done = self.done
        return sum(one.cached_tokens for one in done) / sum(one.prompt_tokens for one in done)

    @property
    def mean_ttft(self) -> float:
        """Seconds."""
        return sum(one.ttft for one in self.done) / len(self.done)

    @property
    def mean_e2e(self) -> float:
        """Seconds from start to last token."""
        return sum(one.e2e for one in self.done) / len(self.done)

    def ttft(self, q: float) -> float:
        """The q-quantile of TTFT in seconds."""
        return quantile([one.ttft for one in self.done], q)

    def e2e(self, q: float) -> float:
        """The q-quantile of the time to the last token in seconds."""
        return quantile([one.e2e for one in self.done], q)

    @property
    def replicas_per_prompt(self) -> float:
        """On how many replicas a prompt was served, on average; 1 is perfect stickiness."""
        pairs = {(one.prompt, one.replica) for one in self.done}
        return len(pairs) / len({prompt for prompt, _ in pairs})

    @property
    def requests_per_replica(self) -> Counter[int]:
        """How many requests each replica served."""
        return Counter(one.replica for one in self.done)


_Kind = Literal["ask", "first", "finish"]


@dataclass
class _Running:
    """A request on its way."""

    prompt: int
    replica: int
    asked: float
    cached: int = 0
    ttft: float = 0.0


class Run:
    """The state of one simulation; passes are played one after the other on the caches that the last one left."""

    def __init__(self, traffic: Traffic, platform: Platform, policy: Policy, seed: int) -> None:
        self.traffic, self.platform = traffic, platform
        self.chains: Sequence[Chain] = traffic.chains
        self.caches: Caches
        coarse, sizes = traffic.segments
        if counts_only(policy, platform.cache, shared=any(len(chain) > 1 for chain in coarse)):
            self.chains = coarse
            self.caches = [SegmentCache(platform.cache, sizes) for _ in range(platform.replicas)]
        else:
            self.caches = [
                BlockCache(platform.cache, random.Random(f"eviction/{seed}/{i}")) for i in range(platform.replicas)
            ]
        self.running = [0] * platform.replicas
        self.waiting: list[deque[_Running]] = [deque() for _ in range(platform.replicas)]
        self.noise = random.Random(f"noise/{seed}")
        self.router = router(policy, self.caches, random.Random(f"picks/{seed}"))
        self.now = 0.0
        self.heap: list[tuple[float, int, _Kind, _Running]] = []
        self.number = 0
        self.served: list[Served] = []

    def play(self, order: Sequence[int], concurrency: int) -> Pass:
        """One pass; the loop ends when its last request does."""
        self.served = []
        asks = deque(order)
        for _ in range(min(concurrency, len(asks))):
            self._ask(asks)
        return self._played(asks)

    def play_open(self, order: Sequence[int], due: Sequence[float]) -> Pass:
        """One pass whose asks come at given times, s after its beginning, whatever the answers do.

        `Served.start` is in s since the run's beginning; the pass begins at `now`. Raises ValueError if the two differ
        in length.
        """
        self.served = []
        for prompt, seconds in zip(order, due, strict=True):
            self._at(seconds, "ask", _Running(prompt, -1, 0.0))
        return self._played(deque())

    def hold(self, placed: Mapping[int, int]) -> None:
        """Cache prompts on replicas, both by number, as if they had been asked there directly, in this order."""
        for prompt, replica in placed.items():
            chain = self.chains[prompt]
            if self.caches[replica].start(chain, self.traffic.lengths[prompt]) is not None:
                self.router.started(replica, chain, self.now)
                self.caches[replica].finish(chain)

    def _played(self, asks: deque[int]) -> Pass:
        while self.heap:
            self.now, _, kind, one = heapq.heappop(self.heap)
            if kind == "ask":
                self._ask(deque((one.prompt,)))
            elif kind == "first":
                answer = self.traffic.answers[one.prompt] if self.traffic.answers else None
                self._at(self.platform.latency.decode(self.running[one.replica], answer), "finish", one)
            else:
                self._finish(one)
                self._ask(asks)
        return Pass(tuple(self.served))

    def _at(self, delay: float, kind: _Kind, one: _Running) -> None:
        self.number += 1
        heapq.heappush(self.heap, (self.now + delay, self.number, kind, one))

    def _ask(self, asks: deque[int]) -> None:
        """A client that is free asks until one of its requests is under way."""
        while asks:
            prompt = asks.popleft()
            loads = [r + len(w) for r, w in zip(self.running, self.waiting, strict=True)]
            one = _Running(prompt, self.router.pick(self.chains[prompt], loads, self.now), self.now)
            if self.running[one.replica] >= self.platform.latency.max_num_seqs:
                self.waiting[one.replica].append(one)
                return
            if self._start(one):
                return

    def _start(self, one: _Running) -> bool:
        """Whether the replica took it."""
        chain, tokens = self.chains[one.prompt], self.traffic.lengths[one.prompt]
        hits = self.caches[one.replica].start(chain, tokens)
        if hits is None:
            self.served.append(Served(one.prompt, one.replica, tokens, 0, one.asked, 0.0, 0.0, refused=True))
            return False
        self.router.started(one.replica, chain, self.now)
        self.running[one.replica] += 1
        one.cached = hits * self.platform.cache.block_size
        lasts = self.platform.latency.ttft(tokens - one.cached, self.running[one.replica])
        if self.platform.jitter:
            lasts *= max(0.0, self.noise.gauss(1, self.platform.jitter))
        one.ttft = self.now - one.asked + lasts
        self._at(lasts, "first", one)
        return True

    def _finish(self, one: _Running) -> None:
        self.caches[one.replica].finish(self.chains[one.prompt])
        self.running[one.replica] -= 1
        tokens, e2e = self.traffic.lengths[one.prompt], self.now - one.asked
        self.served.append(Served(one.prompt, one.replica, tokens, one.cached, one.asked, one.ttft, e2e))
        # One place became free; a request that finds no room in the cache leaves it to the next one.
        while self.waiting[one.replica] and not self._start(self.waiting[one.replica].popleft()):
            pass


def simulate(
    traffic: Traffic, platform: Platform, policy: Policy, *, concurrency: int = 1, seed: int = 0
) -> tuple[Pass, ...]:
    """The passes of one run. The same seed gives the same run. Raises ValueError unless concurrency is at least 1."""
    if concurrency < 1:
        raise ValueError(f"a closed loop has at least one client, not {concurrency}")
    run = Run(traffic, platform, policy, seed)
    return tuple(run.play(order, concurrency) for order in traffic.passes)
