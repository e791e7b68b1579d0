"""The paper's claims about routing (Figures 5 to 7), as effects of rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, median, pstdev

from gpuassay import Inconclusive
from gpuassay.load.gate import require_valid
from gpuassay.stats.claims import Claim, Ruling, judge
from gpuassay.stats.evidence import Evidence, differences, pairs
from gpuassay.stats.quantiles import quantile
from gpuassay.stats.ratios import equivalent
from gpuassay.systems.llmd.judge.performance import e2e, timed, ttft
from gpuassay.systems.llmd.model.paper import FIGURE_5, FIGURE_6, FIGURE_7
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from suites.llmd.performance import load67
from suites.llmd.performance.exhibits5 import busy_of, control_of, rounds_of
from suites.llmd.performance.limits import LIMITS
from suites.llmd.performance.load5 import DIRECT, GATEWAY
from suites.llmd.performance.load5 import RANDOM as PICKER
from suites.llmd.performance.paper_load import (
    DIRECT_AGAIN,
    PLAN,
    PRECISE,
    RANDOM,
    RANDOM_AGAIN,
    ROUNDS,
    STREAMS_5,
    STREAMS_67,
    TOKENS,
)

SATURATED = 0.85
"""Share of all CPUs' time above which streams wait for a CPU and not for what is measured."""
CONTROL_MS = 1.0
"""By how much the direct way may differ from itself, ms: a third of the least that the paper says a picker adds."""
CONTROL_SHARE = 0.25
"""By how much random routing may differ from itself: a quarter of the least gain that counts (a factor of 2)."""

OVERHEAD = {
    **{
        f"picker-{streams}": Claim(
            f"picker-{streams}", "figure 5", "lower", 0.0, reference=FIGURE_5.most_ms, kind="difference",
            paper=FIGURE_5.most_ms,
        )
        for streams in STREAMS_5
    },
    "growth": Claim("growth", "figure 5", "higher", 1.0, reference=0.0, kind="difference", paper=8.0),
    **{
        f"gateway-{streams}": Claim(
            f"gateway-{streams}", "figure 5", "lower", 0.0, reference=FIGURE_5.least_ms, kind="difference"
        )
        for streams in STREAMS_5
    },
}  # fmt: skip
"""A picker adds at most 11 ms and more with more streams; the gateway without one adds less than the 3 ms that a picker
adds at the least (the paper draws this against a ClusterIP and prints no number)."""

GAIN = {
    "ttft-mean": Claim("ttft-mean", "figures 6 and 7", "higher", 1.0, paper=FIGURE_6.mean_ratio),
    "ttft-p99": Claim("ttft-p99", "figures 6 and 7", "higher", 1.0, paper=FIGURE_6.p99_ratio_up_to),
    "ttft-spread": Claim(
        "ttft-spread", "figures 6 and 7", "higher", 1.0,
        paper=FIGURE_6.random_interval_ms / FIGURE_6.precise_interval_ms,
    ),
    "e2e-mean": Claim(
        "e2e-mean", "figures 6 and 7", "lower", 0.0, reference=0.0, kind="difference",
        paper=FIGURE_7.mean_difference_ms / 1e3,
    ),
    "e2e-p99": Claim(
        "e2e-p99", "figures 6 and 7", "lower", 0.0, reference=0.0, kind="difference",
        paper=FIGURE_7.p99_difference_up_to_ms / 1e3,
    ),
}  # fmt: skip
"""With warm caches: mean, 99th percentile and spread of TTFT under random routing are more than twice those under
precise, and requests end earlier."""


def overheads(recording: RoutingRecording) -> dict[str, Ruling]:
    """How the claims of Figure 5 stand."""
    added = {streams: _less(recording, PICKER, GATEWAY, streams) for streams in STREAMS_5}
    gateway = {streams: _less(recording, GATEWAY, DIRECT, streams) for streams in STREAMS_5}
    nothing = [0.0] * ROUNDS
    evidence: dict[str, Evidence] = {f"picker-{at}": differences(values, nothing) for at, values in added.items()}
    evidence |= {f"gateway-{at}": differences(values, nothing) for at, values in gateway.items()}
    evidence["growth"] = differences(added[STREAMS_5[-1]], added[STREAMS_5[0]])
    family = {name: (claim, evidence[name]) for name, claim in OVERHEAD.items()}
    return judge(family, PLAN, refused=refused_5(recording))


def gains(recording: RoutingRecording) -> dict[str, Ruling]:
    """How the claims of Figures 6 and 7 stand."""
    family: dict[str, tuple[Claim, Evidence]] = {}
    for name, claim in GAIN.items():
        of, figure = FIGURES[name]
        random, precise = (_values(recording, arm, of, figure) for arm in (RANDOM, PRECISE))
        family[name] = (claim, pairs(random, precise) if claim.kind == "ratio" else differences(precise, random))
    return judge(family, PLAN, refused=refused_67(recording))


Figure = Callable[[Sequence[float]], float]


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return quantile(values, 0.99)


FIGURES: dict[str, tuple[Callable[[RequestRow], float], Figure]] = {
    "ttft-mean": (ttft, fmean),
    "ttft-p99": (ttft, p99),
    "ttft-spread": (ttft, pstdev),
    "e2e-mean": (e2e, fmean),
    "e2e-p99": (e2e, p99),
}
"""Of which time of a request, and which figure of a round."""


def refused_5(recording: RoutingRecording) -> str:
    """Why nothing of Figure 5 may be decided: the machine, the generator, or the control; "" if it may."""
    try:
        LIMITS.refuse_noise(recording)
        for streams in STREAMS_5:
            require_valid(control_of(recording, TOKENS, streams), FIGURE_5.most_ms)
    except Inconclusive as why:
        return str(why)
    for streams in STREAMS_5:
        busy = busy_of(recording, PICKER, TOKENS, streams)
        if busy is not None and busy > SATURATED:
            return f"all CPUs were {busy:.0%} busy at {streams} streams: they wait for a CPU, not for the picker"
        off = abs(fmean(_less(recording, DIRECT_AGAIN, DIRECT, streams)))
        if off > CONTROL_MS:
            where = f"at {streams} streams, limit {CONTROL_MS} ms"
            return f"control: the direct way differs from itself by {off:.2f} ms {where}"
    return ""


def refused_67(recording: RoutingRecording) -> str:
    """Why nothing of Figures 6 and 7 may be decided; "" if it may."""
    try:
        LIMITS.refuse_noise(recording)
        require_valid(recording.note(load67.CONTROL)[STREAMS_67], 80.0, at=0.99)
    except Inconclusive as why:
        return str(why)
    once, again = (_values(recording, arm, ttft, fmean) for arm in (RANDOM, RANDOM_AGAIN))
    if equivalent(again, once, CONTROL_SHARE) != "pass":
        off = median(b / a for a, b in zip(once, again, strict=True)) - 1
        return f"control: random routing differs from itself by {off:+.1%}, limit {CONTROL_SHARE:.0%}"
    return ""


def _less(recording: RoutingRecording, arm: str, base: str, streams: int) -> list[float]:
    """By how much an arm's median TTFT exceeds another's, ms, round by round."""
    mine, theirs = (
        [1e3 * median(map(ttft, timed(rows))) for rows in rounds_of(recording, name, TOKENS, streams)]
        for name in (arm, base)
    )
    return [a - b for a, b in zip(mine, theirs, strict=True)]


def _values(recording: RoutingRecording, arm: str, of: Callable[[RequestRow], float], figure: Figure) -> list[float]:
    """A figure of an arm's warm passes, round by round."""
    waves = [load67.wave(arm, STREAMS_67, number, "warm") for number in range(1, ROUNDS + 1)]
    return [figure([of(row) for row in timed(recording.asks(wave))]) for wave in waves]
