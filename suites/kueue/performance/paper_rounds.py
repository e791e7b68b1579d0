"""Plays the paper's Table 3 in rounds until its claims are decided: its own 32 files, at 1/20 of their run times.

The paper ran one list of files in every repetition, and so do the rounds. Without Kueue, kube-scheduler retries waiting
pods in an order that chance decides, which alone moves the makespan of these jobs by some 6 %: plain Jobs are played
four times a round. At 1/30 and below the two one-second batches of a hand-over change who follows whom; at 1/20 they
do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from gpuassay import Note
from gpuassay.stats.claims import Plan, settled
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.bench import KueueBench, bench, take
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads.run_times import PAPERS_FILES
from suites.kueue.performance import paper_claims
from suites.kueue.performance.paper_claims import ARMS, SCHEDULER
from suites.kueue.performance.table3 import ROUNDS, open_arm, play

SCALE = 1 / 20
PLAN = Plan(looks=(3, 5, 7), shares=(0.1, 0.5, 0.4))

TAKEN = Note("taken", list[int], "rounds that were taken over from an earlier run of the same folder", default=[])


def act(lab: KueueLab) -> None:
    """Round by round until the claims are decided, further rounds would hardly decide them, or the plan ends."""
    played = 0
    with ExitStack() as stack:
        on: KueueBench | None = None
        for number in range(1, PLAN.looks[-1] + 1):
            if take(lab, [f"{name}-{number}" for name in (*ARMS, SCHEDULER)]):
                lab.progress(f"round {number}: recorded by an earlier run, not played again")
                lab.note_next(TAKEN, number)
            else:
                on = on or stack.enter_context(bench(lab))
                lab.progress(f"round {number} of at most {PLAN.looks[-1]}: {len(ARMS)} arms, run times x {SCALE:.3g}")
                _round(lab, on, number)
            played = number
            if number in PLAN.looks and settled(paper_claims.makespans(_recorded(lab, number), PLAN)):
                break
    lab.note(notes.SCALE, SCALE)
    lab.note(ROUNDS, played)


def _round(lab: KueueLab, on: KueueBench, number: int) -> None:
    scheduler = on.arm(f"{SCHEDULER}-{number}")
    scheduler.lab.note(notes.ROUND, number)
    with ThreadPoolExecutor(len(ARMS)) as pool:
        opening = [pool.submit(open_arm, on, name, PAPERS_FILES, SCALE, number, ARMS) for name in ARMS]
        runners = [one.result() for one in opening]
    play(runners, lab, on)
    on.settle()
    for one in runners:
        on.arms.remove(one.arm)
        on.close(one.arm)
    cycles = [line for line in on.all_lines(scheduler.began.positions) if "schedulingCycle" in line]
    on.close_with(scheduler, cycles)


def _recorded(lab: KueueLab, rounds: int) -> Mapping[str, KueueRecording]:
    """What has been recorded so far, as the judges will read it."""
    assert lab.place is not None, "the engine says where recordings go"
    names = [f"{name}-{number}" for name in ARMS for number in range(1, rounds + 1)]
    return {name: KueueRecording.load(lab.place.with_name(f"{lab.place.name}.{name}")) for name in names}
