"""The paper's claims about Kueue (Tables 3 and 4), as effects of rounds, and the rule that decides them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from gpuassay import Inconclusive
from gpuassay.stats import thresholds
from gpuassay.stats.claims import Claim, Plan, Ruling, judge
from gpuassay.stats.evidence import Evidence, differences, several
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.kueue.judge import cycles
from gpuassay.systems.kueue.model.paper import TABLE_3, TABLE_4
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.performance.table3 import CONTROL
from suites.kueue.performance.tables import control_off, figures_of, rounds

LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))

SCHEDULER = "scheduler"
"""Prefix of the recordings with all scheduling cycles of a round."""
PLAIN = ("pure", "pure-b", "pure-c", "pure-d")
"""Arms without Kueue; see `paper_rounds` for why there are four."""
ARMS: dict[str, str] = {
    **dict.fromkeys(PLAIN, "pure"),
    "fifo": "fifo",
    CONTROL: "fifo",
    "priority": "priority",
    "preemption": "preemption",
    "two-queues": "two-queues-large-borrows",
}
"""Configuration of every arm. Whether both queues may borrow or only the large one makes no difference to the twin."""

LEAST = LIMITS.limit("control_makespan")
_PAPER = {row.configuration: row.ratio for row in TABLE_3}

MAKESPAN = {
    "fifo": Claim("fifo", "makespan", "equal", LIMITS.limit("paper_equal"), paper=_PAPER["fifo"]),
    **{
        name: Claim(name, "makespan", "lower", LEAST, paper=_PAPER[name])
        for name in ("priority", "preemption", "two-queues")
    },
}
"""Makespan over that of plain Jobs: FIFO costs next to nothing, the others are faster by more than `LEAST`."""

BOUNDS_MS = {"p50": 5.0, "p95": 25.0, "p99": 25.0}
"""Edges of the histogram behind the paper's numbers: all that its quantiles can say is below which edge they lie."""
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
QUEUED = ("fifo", "priority", "preemption", "two-queues")
CYCLES = {
    f"{name}-{which}": Claim(
        f"{name}-{which}", "admission attempts", "lower", 0.0, reference=bound, kind="difference",
        paper=getattr(next(row for row in TABLE_4 if row.configuration == name), which),
    )
    for name in QUEUED
    for which, bound in BOUNDS_MS.items()
}  # fmt: skip
"""Quantiles of admitting cycles in ms, in each round, below the edge of the bucket that the paper's lies in."""

ORDER = Claim("order", "order", "lower", 1.0, reference=0.0, kind="difference")
"""Starts out of creation order in a round of FIFO, less those of plain Jobs: fewer by at least one."""


def refused(arms: Mapping[str, KueueRecording]) -> str:
    """Why nothing may be decided from these rounds: a crowded machine, or a control that failed; "" if it may."""
    for arm in arms.values():
        try:
            LIMITS.refuse_noise(arm)
        except Inconclusive as crowded:
            return str(crowded)
    return control_off(arms, LEAST)


def makespans(arms: Mapping[str, KueueRecording], plan: Plan) -> dict[str, Ruling]:
    """How the claims about makespans stand."""
    base = [[_net(arm) for arm in one] for one in _plain(arms)]
    family = {
        name: (claim, several([[_net(arm)] for arm in rounds(arms, name)], base)) for name, claim in MAKESPAN.items()
    }
    return judge(family, plan, refused=refused(arms))


def attempts(arms: Mapping[str, KueueRecording], plan: Plan) -> dict[str, Ruling]:
    """How the claims about admission attempts stand."""
    family: dict[str, tuple[Claim, Evidence]] = {}
    own = {name: _cycles_ms(arms, name) for name in QUEUED}
    for key, claim in CYCLES.items():
        name, _, which = key.rpartition("-")
        values = [quantile(one, SHARES[which]) for one in own[name]]
        family[key] = (claim, differences(values, [0.0] * len(values)))
    return judge(family, plan, refused=refused(arms))


def order(arms: Mapping[str, KueueRecording], plan: Plan) -> Ruling:
    """How the claim about the order of starts stands."""
    mine = [float(figures_of(arm).start_inversions) for arm in rounds(arms, "fifo")]
    plain = [fmean(figures_of(arm).start_inversions for arm in one) for one in _plain(arms)]
    return judge({"order": (ORDER, differences(mine, plain))}, plan, refused=refused(arms))["order"]


def _plain(arms: Mapping[str, KueueRecording]) -> list[list[KueueRecording]]:
    """The arms without Kueue, round by round."""
    return [list(one) for one in zip(*(rounds(arms, name) for name in PLAIN), strict=True)]


def _net(arm: KueueRecording) -> float:
    return figures_of(arm).net_makespan


def _cycles_ms(arms: Mapping[str, KueueRecording], name: str) -> list[list[float]]:
    """Durations of an arm's own admitting cycles in ms, round by round."""
    return [
        [1e3 * value for value in cycles.durations(cycles.own_cycles(scheduler, arm)[0], "success")]
        for scheduler, arm in zip(rounds(arms, SCHEDULER), rounds(arms, name), strict=True)
    ]
