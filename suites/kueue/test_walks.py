"""Random walks: queues, cohorts, flavors and work change in a seeded, random course; then the books must be right.

Each walk is judged by all that the referee knows: charges, counts, gauges, events, that nobody waits who fits or may
preempt, that nobody got quota that there was not, and that a restart of Kueue changes nothing. What is found is shrunk:
steps are left out as long as the same kind of finding shows. `--kueue-walk SEED` draws other walks, `--kueue-walk FILE`
takes one again, and `--kueue-walk-minutes` goes on from seed to seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gpuassay import MUST, Arms, behaviour, known_defect, scenario
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts import floor_walker
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.walks import SEEDS, SHRUNK, WIDTH, Party
from gpuassay.systems.kueue.judge import floor_walk as judge_floor
from gpuassay.systems.kueue.judge import known, walks
from gpuassay.systems.kueue.objects import floor_walk, walk_steps
from gpuassay.systems.kueue.objects.walks import Walk
from gpuassay.systems.kueue.options import CHOSEN, WALKS
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/overview/"
STEPS, MANY_STEPS = 25, 40
WALKS_AT_A_TIME = 4
"""In the sample that every run takes; where walks were asked for, there are more and longer ones."""
SHRINKING_S = 45.0
"""For shrinking what was found, all together; a third of the minutes that were asked for, if that is more."""


def _walks(lab: KueueLab, draw: Callable[[int, int], Walk], **options: Any) -> None:
    """Round after round until the minutes are over; the rest of the time goes into shrinking what was found.

    `draw`: a walk from a seed and a number of steps.
    """
    count, steps = (WIDTH, MANY_STEPS) if CHOSEN.walks_asked or lab.full else (WALKS_AT_A_TIME, STEPS)
    end = time.monotonic() + CHOSEN.walk_minutes * 60
    party, at = Party(lab, **options), CHOSEN.walk
    red: list[tuple[Walk, list[str]]] = []
    while True:
        again = CHOSEN.walk_again
        chosen = [again] * count if again else [draw(seed, steps) for seed in range(at, at + count)]
        red += [(taken, findings) for taken, findings in party.go(chosen) if findings]
        at += count
        if time.monotonic() > end:
            break
    party.until = time.monotonic() + max(SHRINKING_S, CHOSEN.walk_minutes * 20)
    for taken, findings in red:
        party.shrink(taken, findings)


@scenario(alone="cluster", needs={WALKS}, timeout=120)
def walked(lab: KueueLab) -> None:
    """Random walks side by side; Kueue is restarted after each round."""
    _walks(lab, walk_steps.walk)


@scenario(profile="fair-sharing", alone="cluster", needs={WALKS}, timeout=120)
def walked_fairly(lab: KueueLab) -> None:
    """Likewise with fair sharing, and ClusterQueues of several weights."""
    _walks(lab, lambda seed, steps: walk_steps.walk(seed, steps, fair=True))


@scenario(needs={WALKS, "gate:TopologyAwareScheduling"}, timeout=120)
def walked_floors(lab: KueueLab) -> None:
    """Walks side by side, each over eight nodes of its own in racks and blocks."""
    _walks(
        lab,
        floor_walk.walk,
        take=floor_walker.take,
        judge=judge_floor.findings,
        leave=floor_walker.leave,
        restart=False,
    )


def _judge(party: KueueRecording, arms: Arms, judge: Callable[[KueueRecording], list[str]] = walks.findings) -> None:
    seeds, found = party.note(SEEDS), dict[str, list[str]]()
    taken = arms(party)
    must_have([one for recording in taken.values() for one in recording.admissions()], "reservations", least=len(taken))
    for name, recording in must_have(taken, "walks").items():
        if lines := judge(recording):
            found[f"{name}, seed {seeds[name]}"] = lines
    shrunk = [
        f"seed {one.seed}: {len(one.steps)} of {one.of} steps are enough ({one.attempts} attempts, {one.file}):\n  "
        + "\n  ".join(one.steps)
        for one in party.note(SHRUNK)
    ]
    told = [f"{where}: {line}" for where, lines in found.items() for line in lines]
    assert not found, "\n".join([*told, *shrunk])


RED_WHEN = "after random changes a count, charge or gauge is wrong, a workload that fits waits, or quota is exceeded"


@behaviour("kueue.walks.books", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_walks(walked: KueueRecording, arms: Arms) -> None:
    """After random changes and a restart every count, charge and gauge is right, and no workload that fits waits."""
    _judge(walked, arms)


@behaviour("kueue.walks.fair-books", level=MUST, spec=SPEC, timed=True, red_when=RED_WHEN, mutant="requests-halved")
def test_the_books_are_right_after_fair_walks(walked_fairly: KueueRecording, arms: Arms) -> None:
    """After random changes under fair sharing every count, charge and gauge is right, and still so after a restart."""
    _judge(walked_fairly, arms)


@behaviour(
    "kueue.walks.node-ledger", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling/",
    timed=True, mutant="topology-lost",
    red_when="a node is overbooked, or used while unschedulable, or pods leave their domain, or wait although they fit",
)  # fmt: skip
def test_the_node_ledger_holds_after_walks(walked_floors: KueueRecording, arms: Arms) -> None:
    """While nodes come and go, no node is overbooked, topology is kept, and no workload that fits waits."""
    _judge(walked_floors, arms, judge_floor.news)


@known_defect(
    known.RETURNED_NODE, "what a node has promised is not counted when it is deleted and comes back",
    shows=judge_floor.RETURNED, racy=True,
)  # fmt: skip
@behaviour(
    "kueue.walks.returned-node", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling/",
    timed=True, mutant="topology-lost",
    red_when="a node that was deleted and has come back is assigned again although its earlier pods still hold it",
)  # fmt: skip
def test_a_node_that_comes_back_is_not_promised_twice(walked_floors: KueueRecording, arms: Arms) -> None:
    """Of a node that was deleted and has come back, only what its earlier pods leave free is assigned."""
    found = [one for recording in arms(walked_floors).values() for one in judge_floor.findings(recording)]
    assert not [one for one in found if judge_floor.RETURNED in one], "\n".join(found)
