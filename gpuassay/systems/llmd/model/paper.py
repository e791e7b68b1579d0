"""What the paper on Kueue, DAS and llm-d (arXiv 2602.04900) states about cache-aware routing: its Figures 5 to 7.

Read off its text and axes. It does not give the list of concurrencies, the order of the prompts, whether a pass warmed
the caches, the number of repeats of a figure, the scorers' weights, or versions.
"""

from __future__ import annotations

from dataclasses import dataclass

REPLICAS = 8
"""Replicas of Qwen3-8B, one per A100-40GB."""

BLOCK_SIZE, CAPACITY_BLOCKS = 64, 2_240
"""Tokens of a block and blocks of a replica's cache: 143,360 tokens, 16.9 of the prompts."""

PROMPTS, PROMPT_TOKENS, REPEATS, MAX_OUTPUT_TOKENS = 32, 272_000, 8, 512
"""Prompts, their tokens in all, how often each is asked (256 requests), and the longest answer."""


@dataclass(frozen=True)
class Figure5:
    """Mean TTFT through gateway, pool and endpoint picker less that without a pool, in ms; one simulated replica."""

    least_ms: float
    most_ms: float
    grows_with_concurrency: bool


@dataclass(frozen=True)
class Figure6:
    """TTFT in ms under random and precise routing, with the half-widths of their confidence intervals."""

    random_ms: float
    precise_ms: float
    random_interval_ms: float
    precise_interval_ms: float
    mean_ratio: float
    p99_ratio_up_to: float


@dataclass(frozen=True)
class Figure7:
    """Time to the last token in ms, precise less random; the 99th percentile at best."""

    mean_difference_ms: float
    p99_difference_up_to_ms: float


FIGURE_5 = Figure5(3.0, 11.0, grows_with_concurrency=True)
FIGURE_6 = Figure6(500.0, 80.0, 100.0, 6.0, 6.25, 20.0)
FIGURE_7 = Figure7(-1000.0, -6000.0)

COLD_MEAN_RATIO_AT_MOST = 5.4
"""Ours, not the paper's: uncached shares of a cold pass are .695 (random) and .128 (precise), so whatever a prefill
costs, the mean of a cold pass cannot improve by more than their ratio, and p99 cannot improve at all, since 1 request
in 8 finds its prompt nowhere. The paper's 6.25 and 20 are those of warm caches."""
