"""Table 3: what the queue configurations cost and gain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import pytest

from gpuassay import MUST, SHOULD, Arms, Inconclusive, Measure, StoreRuns, behaviour, run_clock, scenario
from gpuassay.presence import must_have
from gpuassay.stats import thresholds
from gpuassay.stats.evidence import pairs
from gpuassay.stats.ratios import paired_ratio
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.handover import NothingMeasured, handover, most_held, preempted_jobs
from gpuassay.systems.kueue.judge.measured_figures import arm_lanes
from gpuassay.systems.kueue.judge.runs import job_runs, own_admissions
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.performance import table3, tables
from suites.kueue.performance.table3 import CONTROL, QUEUED
from suites.kueue.performance.tables import figures_of, order_of, rounds

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

QUEUES = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"
PREEMPTION = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"
BATCHES = "kueue: pkg/cache/queue/inadmissible_workloads.go, kubernetes: pkg/controller/job/job_controller.go"

LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))


def control_off(found: Mapping[str, KueueRecording]) -> str:
    """Why makespans of these rounds are not to be judged at all: two equal runs differ; "" where they agree."""
    return tables.control_off(found, LIMITS.limit("control_makespan"))


@scenario(alone="machine", needs={"places-of-eight", "kueue-metrics", "scheduler-log"}, timeout=7200)
def configurations(lab: KueueLab) -> None:
    """Five queue configurations of 32 jobs each; one is run in two variants and one twice as a control."""
    table3.act(lab)


@behaviour(
    "kueue.performance.table-3", level=MUST, spec=QUEUES,
    red_when="a job never completes, or jobs use more GPUs than there are", mutant="quota-doubled",
)  # fmt: skip
def test_every_job_of_every_configuration_finishes_on_eight_gpus(
    configurations: KueueRecording, arms: Arms, measure: Measure
) -> None:
    """Every configuration completes all of its 32 jobs and never uses more than 8 GPUs."""
    found = arms(configurations)
    done = {name: arm.note(table3.FINISHED) for name, arm in found.items() if name != table3.SCHEDULER}
    assert set(done.values()) == {32}, done
    tables.show(found, measure, configurations.note(notes.SCALE), configurations.note(table3.GROUND))
    measure.value(cpu_stall_share=configurations.meta.pressure.get("cpu_stall_share"))
    held = {name: len(arm_lanes(arm)) for name, arm in found.items() if name != table3.SCHEDULER}
    assert set(held.values()) == {8}, held


@pytest.mark.parametrize("name", QUEUED)
@behaviour(
    "kueue.performance.order", level=MUST, spec=QUEUES, timed=True,
    red_when="a job is admitted before one that precedes it in the queue and is not inadmissible",
    mutant="queue-label-lost",
)  # fmt: skip
def test_every_admission_is_the_head_of_its_queue(
    configurations: KueueRecording, arms: Arms, measure: Measure, name: str
) -> None:
    """Jobs are admitted by priority, creation second and UID, and only pass jobs that were just found inadmissible."""
    for arm in must_have(rounds(arms(configurations), name), "rounds"):
        order = order_of(arm)
        admitted = {one.workload for one in own_admissions(arm)}
        measure.value(admissions=len(own_admissions(arm)), passed_parked=len(order.parked))
        assert len(admitted) == 32, f"{len(admitted)} of 32 jobs were admitted by Kueue"
        unseen = admitted - arm.timelines("Workload").keys()  # the place of these could not be judged
        assert not unseen, f"admitted by Kueue's log, and the watch never showed them: {sorted(unseen)}"
        assert not order.broken, f"{order.broken}\n{arm.timeline_text()}"[:6000]


@pytest.mark.benchmark(timer=run_clock, group="table-3 makespan")
@pytest.mark.parametrize("name", QUEUED)
@behaviour(
    "kueue.performance.twin-makespan", level=SHOULD, spec=QUEUES,
    red_when="jobs wait or quota stays unused for longer than Kueue's rules and the measured delays explain",
    mutant="queue-label-lost",
)  # fmt: skip
def test_the_makespan_is_what_the_rules_and_the_hand_over_give(
    configurations: KueueRecording, arms: Arms, measure: Measure, store_runs: StoreRuns, name: str
) -> None:
    """The makespan is at most 2 % above that of a simulation of Kueue's rules with the delays measured in this run."""
    found = rounds(arms(configurations), name)
    try:
        errors = [tables.twin_error_of(arm) for arm in found]
    except NothingMeasured as nothing:
        pytest.fail(str(nothing))
    store_runs([figures_of(arm).makespan for arm in found])
    error = median(one.makespan for one in errors)
    limit = LIMITS.limit("twin_makespan")
    measure.value(live_vs_twin=error, makespan_s=median(figures_of(arm).makespan for arm in found))
    departures = [departure for one in errors for departure in one.departures]
    measure.value(departures=len(departures))
    measure.threshold(limit)
    for arm in found:
        LIMITS.refuse_noise(arm)
    if off := control_off(arms(configurations)):
        raise Inconclusive(off)
    if error < -limit:
        raise Inconclusive(
            f"makespan is {error:+.1%} off the simulated one: nothing was wasted, but the simulation, whose cycles"
            " take no time, gave quota to another queue's head"
        )
    left = "; ".join(f"at {one.at:.1f} s {one.expected} was admitted, not {one.admitted}" for one in departures[:5])
    assert error <= limit, f"makespan is {error:+.1%} off the simulated one, limit {limit:.0%}" + (left and f"; {left}")


@behaviour(
    "kueue.performance.same-twice", level=SHOULD, spec="measurement: A/A control",
    red_when="two equal runs side by side have different makespans, so the measurement cannot be trusted", mutant="",
)  # fmt: skip
def test_equal_arms_side_by_side_come_out_equal(configurations: KueueRecording, arms: Arms, measure: Measure) -> None:
    """Two runs side by side with the same configuration and jobs have the same makespan within 2 %."""
    found = arms(configurations)
    once, again = tables.control(found)
    limit = LIMITS.limit("control_makespan")
    ratio = median(two / one for one, two in zip(once, again, strict=True))
    measure.value(ratio=ratio, rounds=len(once))
    measure.threshold(limit)
    for arm in (*rounds(found, "fifo"), *rounds(found, CONTROL)):
        LIMITS.refuse_noise(arm)
    if len(once) > 1:
        interval = paired_ratio(again, once)
        measure.interval(interval.low, interval.high)
        measure.effect(pairs(again, once).after(), "ratio")
    if tables.control_outcome(found, limit) == "fail":
        pytest.fail(f"the control run is {ratio - 1:+.1%} off: parallel runs disturb each other")
    if off := control_off(found):
        raise Inconclusive(off)


@behaviour(
    "kueue.performance.hand-over", level=SHOULD, spec=BATCHES,
    red_when="exit to Finished, or Finished to the next admission, does not take about one second",
    mutant="queue-label-lost",
)  # fmt: skip
def test_the_hand_over_is_two_one_second_batches(configurations: KueueRecording, arms: Arms, measure: Measure) -> None:
    """Exit to Finished and Finished to the next admission each take one batching period (median 0.9 to 1.5 s)."""
    found = [handover(arm) for arm in rounds(arms(configurations), "fifo")]
    finish = [value for one in found for value in one.finish]
    requeue = [value for one in found for value in one.requeue]
    assert finish, "no Workload finished"
    assert requeue, "no Workload was admitted after it had waited"
    measure.value(
        exit_to_finished_s=median(finish),
        finished_to_admission_s=median(requeue),
        decision_to_start_s=median(value for one in found for value in one.start),
        job_to_workload_s=median(value for one in found for value in one.create),
        hand_overs=len(requeue),
    )
    low, high = LIMITS.limit("batch_low_s"), LIMITS.limit("batch_high_s")
    measure.threshold(f"{low} to {high} s each")
    right = all(low <= median(values) <= high for values in (finish, requeue))
    for arm in rounds(arms(configurations), "fifo"):
        LIMITS.refuse_noise(arm)
    assert right, f"{median(finish):.2f} s to Finished and {median(requeue):.2f} s to the next admission"


@behaviour(
    "kueue.performance.victims", level=MUST, spec=PREEMPTION,
    red_when="no job is preempted, or one that is not of lower priority, or one without a preemption policy",
    mutant="preemption-off",
)  # fmt: skip
def test_only_preemption_kills_and_only_medium_jobs(
    configurations: KueueRecording, arms: Arms, measure: Measure
) -> None:
    """Jobs are preempted only in the configuration with preemption, and only medium jobs, which have lower priority."""
    found = arms(configurations)
    victims = {name: [job for arm in rounds(found, name) for job in preempted_jobs(arm)] for name in QUEUED}
    pure = [must_have(job_runs(arm), "jobs without Kueue") for arm in rounds(found, "pure")]
    killed = {run.name for runs in pure for run in runs if figures.evictions(run)}
    mine = victims.pop("preemption")
    measure.value(preemptions=len(mine), victims=", ".join(sorted(set(mine))))
    assert mine, "no job was preempted although medium jobs held all GPUs when large ones were created"
    assert all(name.startswith("medium") for name in mine), mine
    assert not any(victims.values()), f"preempted without a policy for it: {victims}"
    assert not killed, f"killed in the configuration without Kueue: {killed}"


@behaviour(
    "kueue.performance.borrowing", level=MUST, spec=f"{QUEUES}#borrowinglimit",
    red_when="the large queue never borrows, or the medium queue does", mutant="borrowing-off",
)  # fmt: skip
def test_large_jobs_borrow_what_medium_ones_leave(configurations: KueueRecording, arms: Arms, measure: Measure) -> None:
    """The large queue, which may borrow, is given more than its quota of 4 GPUs, and the medium queue never is."""
    for arm in must_have(rounds(arms(configurations), "two-queues-large-borrows"), "rounds"):
        most = {cls: most_held(arm, cls) for cls in ("medium", "large")}
        measure.value(most_medium=most["medium"], most_large=most["large"])
        assert most["medium"] <= 4, most
        assert most["large"] > 4, most
