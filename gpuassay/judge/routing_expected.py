"""What the model expects of the very requests that a live run made: traffic read from load rows."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.judge.routing import Row, cached_hit_rate, hit_rate_findings
from gpuassay.model.routing import Platform, Traffic, distinct_traffic
from gpuassay.model.routing_montecarlo import RUNS, Expected, expected
from gpuassay.model.routing_policies import Policy


def traffic_of(passes: Sequence[Sequence[Row]], block_size: int) -> Traffic:
    """The traffic of a run's passes: prompts by label, their lengths as the servers counted them, in order of index.

    For prompts that share nothing. A failed request counts as asked; the length of its prompt is told by another.

    Raises:
        ValueError: nothing was asked, no answer tells the length of a prompt, or answers disagree about it.
    """
    lengths: dict[str, int] = {}
    for row in (row for one in passes for row in one):
        label, tokens = str(row["label"]), row.get("prompt_tokens")
        if tokens is not None and lengths.setdefault(label, int(tokens)) != int(tokens):
            raise ValueError(f"{label}: {lengths[label]} prompt tokens in one answer, {tokens} in another")
    labels = sorted({str(row["label"]) for one in passes for row in one})
    if mute := [label for label in labels if label not in lengths]:
        raise ValueError(f"no answer tells how many tokens these prompts have: {', '.join(mute)}")
    numbers = {label: number for number, label in enumerate(labels)}
    orders = [[numbers[str(row["label"])] for row in sorted(one, key=lambda row: int(row["index"]))] for one in passes]
    return distinct_traffic([lengths[label] for label in labels], orders, block_size)


def expected_of(
    passes: Sequence[Sequence[Row]], platform: Platform, policy: Policy, *, concurrency: int, runs: int = RUNS
) -> tuple[Expected, ...]:
    """The model's figures of every pass, for the prompts and the order of these rows. Errors as `traffic_of`."""
    return expected(traffic_of(passes, platform.cache.block_size), platform, policy, concurrency=concurrency, runs=runs)


def pass_findings(
    passes: Sequence[Sequence[Row]], foreseen: Sequence[Expected], slack: float = 0.0, names: Sequence[str] = ()
) -> list[str]:
    """Passes whose hit rate, by what the answers say, lies outside of what the model foresaw, widened by `slack`.

    `names` are those of the passes; by default they are numbered from 1. Raises ValueError if there are not as many
    passes as expectations, or a pass has no answer with token counts.
    """
    told = list(names) or [f"pass {number}" for number in range(1, len(passes) + 1)]
    found: list[str] = []
    for rows, model, name in zip(passes, foreseen, told, strict=True):
        found += hit_rate_findings(cached_hit_rate(rows), model.hit_rate, f"hit rate of {name}", slack)
    return found
