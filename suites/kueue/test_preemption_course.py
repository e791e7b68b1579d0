"""The course of a preemption: real Jobs on the whole way, and one preemption after the other."""

from __future__ import annotations

from gpuassay import INFO, MUST, SHOULD, Measure, behaviour, dig, scenario
from gpuassay.manifest import condition
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.preempting import evictions, expected_victims, told_evictions, victims_by_name
from gpuassay.systems.kueue.judge.queueing import decisions
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.model.reasons import WAITS
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"
ALGORITHM = "https://kueue.sigs.k8s.io/docs/concepts/preemption/#classic-preemption"

LOWER = {"withinClusterQueue": "LowerPriority"}


def _hold(lab: KueueLab, queue: Queue, name: str, gpus: int = 1, priority: int = 0) -> None:
    """A workload that holds quota before the next one comes."""
    byhand.workload(lab, name, queue, gpus=gpus, priority=priority)
    lab.until_admitted(name)


# --- the whole way, with Jobs ----------------------------------------------------------------------------------------


@scenario(needs={"gpu-nodes"})
def jobs_preempted(lab: KueueLab) -> None:
    """A Job of two pods fills a queue; a Job of higher priority preempts it, runs briefly and finishes."""
    queue = lab.queue(gpus=2, preemption=LOWER)
    low, high = lab.priority_class("low", 1), lab.priority_class("high", 100)
    lab.job("victim", queue, pods=2, priority=low)
    lab.until(lambda: sum(dig(pod, "status", "phase") == "Running" for pod in lab.objects("Pod")) == 2, "pods run")
    lab.job("preemptor", queue, priority=high, run_for=0.5)
    lab.observe(lambda: lab.has("Finished", "preemptor"), "preemptor finished")
    lab.observe(lambda: lab.has("Admitted", "victim"), "victim admitted again")


@behaviour(
    "kueue.preemption.conditions", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/preemption/#reasons-for-preemption",
    red_when="conditions do not say that, why and for whom a workload was preempted", mutant="preemption-off",
)  # fmt: skip
def test_conditions_tell_of_the_preemption(jobs_preempted: KueueRecording) -> None:
    """A victim gets conditions Evicted, Preempted (InClusterQueue, with the preemptor's UID) and Requeued."""
    victim, preemptor = jobs_preempted.workload_of("victim"), jobs_preempted.workload_of("preemptor")
    changes = victim.condition_changes()
    seen = {(one.type, one.status, one.reason) for one in changes}
    expected = {
        ("Evicted", "True", "Preempted"),
        ("Preempted", "True", "InClusterQueue"),
        ("Requeued", "True", "Preempted"),
    }
    timeline = jobs_preempted.timeline_text()
    assert expected <= seen, f"missing {sorted(expected - seen)} among {sorted(seen)}\n{timeline}"
    waits = {("QuotaReserved", "False", reason) for reason in WAITS}
    assert waits & seen, f"none of {sorted(waits)} among {sorted(seen)}\n{timeline}"
    message = next(one.message for one in changes if one.type == "Preempted" and one.status == "True")
    assert preemptor.uid in message, f"expected the preemptor's UID {preemptor.uid} in {message!r}"


@behaviour(
    "kueue.preemption.job-suspended", level=MUST, spec=SPEC, timed=True,
    red_when="pods of a preempted Job go on running", mutant="preemption-off",
)  # fmt: skip
def test_a_preempted_job_is_suspended_and_loses_its_pods(jobs_preempted: KueueRecording) -> None:
    """A preempted Job is suspended and all its pods are deleted before the preemptor's pod is created."""
    job = jobs_preempted.timelines("Job")["victim"]
    started = job.when(lambda one: dig(one, "spec", "suspend") is False)
    states = [(event.at, dig(event.object, "spec", "suspend", default=False)) for event in job.events]
    stopped = next((at for at, suspended in states if started is not None and at > started and suspended), None)
    pods = jobs_preempted.timelines("Pod").values()

    def of(name: str) -> list[tuple[int, int | None]]:
        mine = [one for one in pods if dig(one.final, "metadata", "labels", "job-name") == name]
        return [(one.events[0].at, one.events[-1].at if one.deleted else None) for one in mine]

    timeline = jobs_preempted.timeline_text()
    assert stopped is not None, f"expected the victim's Job to be suspended again\n{timeline}"
    first = sorted(of("victim"))[:2]
    came = [made for made, _ in of("preemptor")]
    assert came, f"expected a pod of the preemptor\n{timeline}"
    kept = [made for made, gone in first if gone is None or gone > min(came)]
    assert len(first) == 2 and not kept, f"expected 2 pods gone before {min(came)}, seen {first}\n{timeline}"


@behaviour(
    "kueue.preemption.victim-runs-again", level=MUST, spec=SPEC,
    red_when="a victim is not admitted again after the preemptor has finished", mutant="preemption-off",
)  # fmt: skip
def test_a_victim_runs_again(jobs_preempted: KueueRecording) -> None:
    """When the preemptor has finished, the victim is admitted again and its Evicted condition is False."""
    victim = jobs_preempted.workload_of("victim").name
    preemptor = jobs_preempted.workload_of("preemptor").name
    order, expected = decisions(jobs_preempted), [victim, preemptor, victim]
    assert order == expected, f"expected {expected}, seen {order}\n{jobs_preempted.timeline_text()}"
    final = jobs_preempted.workload_of("victim").final
    evicted = condition(final, "Evicted") or {}
    assert evicted.get("status") == "False", f"expected Evicted False after the return, seen {evicted}"


# --- always the same one ---------------------------------------------------------------------------------------------

ROUNDS = 5


@scenario(timeout=90)
def rounds(lab: KueueLab) -> None:
    """Four workloads fill a queue; five times one of higher priority is created, preempts one of them, and ends."""
    queue = lab.queue(gpus=4, preemption=LOWER)
    for i in range(4):
        _hold(lab, queue, f"low-{i}")
    for turn in range(ROUNDS):
        byhand.next_second(lab)
        byhand.workload(lab, f"high-{turn}", queue, priority=10)
        byhand.observe_evicted(lab, 1)
        byhand.end_eviction(lab, *byhand.evicted(lab))
        lab.observe_admitted(f"high-{turn}")
        byhand.finish(lab, f"high-{turn}")
        lab.observe(lambda: sum(n.startswith("low") for n in byhand.holding(lab)) == 4, "four low ones")


@behaviour(
    "kueue.preemption.victim-by-the-rule-each-time", level=SHOULD, spec=ALGORITHM,
    red_when="one of several preemptions selects another victim than the documented algorithm", mutant="preemption-off",
)  # fmt: skip
def test_every_round_takes_the_victim_of_the_rule(rounds: KueueRecording) -> None:
    """In each of five preemptions the victim is the workload that got quota last, even the previous victim."""
    seen = [one.workload for one in evictions(rounds)]
    lows = [f"low-{i}" for i in range(4)]
    policy = Policy(within_queue="LowerPriority")
    expected = [
        expected_victims(rounds, f"high-{turn}", lows, 4, policy, before=one.at)[0]
        for turn, one in enumerate(evictions(rounds))
    ]
    assert len(seen) == ROUNDS, f"expected {ROUNDS} evictions, seen {seen}\n{rounds.timeline_text()}"
    assert seen == expected, f"expected {expected}, seen {seen}\n{rounds.timeline_text()}"


@behaviour(
    "kueue.preemption.victim-concentration", level=INFO, spec=ALGORITHM,
    red_when="no preemption happens, or schedulingStats report another count for the most preempted workload",
    mutant="preemption-off",
)  # fmt: skip
def test_victim_concentration(rounds: KueueRecording, measure: Measure) -> None:
    """The share of preemptions that hits one workload is measured, and its schedulingStats report the same count."""
    counts = victims_by_name(rounds)
    assert counts, f"expected victims, seen none\n{rounds.timeline_text()}"
    total, most = sum(counts.values()), max(counts.values())
    told = max(told_evictions(one) for one in rounds.workloads())
    measure.value(preemptions=total, candidates=4, victims=len(counts), most_hit=most, share_of_most_hit=most / total)
    assert told == most, f"schedulingStats of the most hit: expected {most}, seen {told}"
