"""Fair sharing: who borrows how much when several want all of it, and who goes first after much use."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from gpuassay import MUST, SHOULD, behaviour, dig, scenario
from gpuassay.labels import GPU
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.cohorts import evictions, holding, pending
from gpuassay.systems.kueue.judge.fairness import consumed_by, fair_split, weighted_share
from gpuassay.systems.kueue.judge.queueing import decisions
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.sharing import decided, numbered

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/fair_sharing/"
PREEMPTION = "https://kueue.sigs.k8s.io/docs/concepts/preemption/#fair-sharing"
ADMISSION = "https://kueue.sigs.k8s.io/docs/concepts/admission_fair_sharing/"
RECLAIM = {"reclaimWithinCohort": "Any"}


def rivals(lab: KueueLab, case: str, gpus: int, weights: dict[str, int | None], **options: Any) -> dict[str, Queue]:
    """A cohort in which an owner has `gpus` GPUs and the others, by name, only what they borrow."""
    cohort = lab.unique(case)
    owner = lab.queue(gpus, base=f"{case}-owner", cohort=cohort, active=False)
    queues = {
        base: lab.queue(0, base=base, cohort=cohort, flavor=owner.flavor, weight=weight, active=False, **options)
        for base, weight in weights.items()
    }
    queues["owner"] = owner
    lab.until_active(*(queue.name for queue in queues.values()))
    return queues


def crowd(lab: KueueLab, first: Queue, late: Queue, gpus: int, share: int) -> None:
    """The first queue takes all `gpus` GPUs by jobs of one; then the late one wants them, of which `share` are due."""
    lab.create_all([byhand.unbound(name, lab, first) for name in numbered(first.local, gpus)])
    lab.observe_admitted(*numbered(first.local, gpus))
    names = numbered(late.local, gpus)
    lab.create_all([byhand.unbound(name, lab, late) for name in names])
    lab.observe(lambda: sum(lab.has("Admitted", name) for name in names) == share, f"{late.local} has {share}")
    lab.note(notes.QUEUES, {queue.local: queue.name for queue in (first, late)})


@scenario("fair-sharing")
def equals(lab: KueueLab) -> None:
    """Of two equal queues one takes all 4 GPUs, then the other wants 4 too."""
    queues = rivals(lab, "equal", 4, {"alpha": None, "beta": None}, preemption=RECLAIM)
    crowd(lab, queues["beta"], queues["alpha"], 4, 2)


@behaviour(
    "kueue.fair-sharing.equal-weights", level=MUST, spec=SPEC,
    red_when="queues of equal weight and equal demand end with different shares", mutant="weights-by-name",
)  # fmt: skip
def test_equal_weights_share_equally(equals: KueueRecording) -> None:
    """Two queues of equal weight that both want 4 borrowed GPUs end with 2 each, whoever came first."""
    expected = fair_split(4, {"alpha": 4, "beta": 4}, {})
    seen = {name: len(holding(equals, name)) for name in expected}
    assert seen == expected == {"alpha": 2, "beta": 2}, equals.timeline_text()


@behaviour(
    "kueue.fair-sharing.preempts-to-the-fair-share", level=MUST, spec=PREEMPTION, timed=True,
    red_when="fair sharing evicts too few or too many workloads, or keeps evicting after the shares are equal",
    mutant="preemption-off",
)  # fmt: skip
def test_rebalancing_evicts_no_more_than_it_needs(equals: KueueRecording) -> None:
    """A later queue gets its fair share by exactly two evictions, both InCohortFairSharing, and no more follow."""
    causes = sorted(cause for causes in evictions(equals).values() for cause in causes)
    assert causes == ["InCohortFairSharing"] * 2, equals.timeline_text()
    assert equals.at_rest, equals.timeline_text()


@scenario("fair-sharing")
def unequals(lab: KueueLab) -> None:
    """Of two queues with weights 2 and 1, the one of weight 1 takes all 3 GPUs, then the other wants 3 too."""
    queues = rivals(lab, "unequal", 3, {"double": 2, "single": 1}, preemption=RECLAIM)
    crowd(lab, queues["single"], queues["double"], 3, 2)


@behaviour(
    "kueue.fair-sharing.weights-two-to-one", level=MUST, spec=SPEC,
    red_when="shares do not follow the weights", mutant="weights-dropped",
)  # fmt: skip
def test_shares_follow_weights(unequals: KueueRecording) -> None:
    """Of 3 borrowed GPUs, the queue of weight 2 ends with 2 and the queue of weight 1 with 1."""
    expected = fair_split(3, {"double": 3, "single": 3}, {"double": 2, "single": 1})
    seen = {name: len(holding(unequals, name)) for name in expected}
    assert seen == expected == {"double": 2, "single": 1}, unequals.timeline_text()


@behaviour(
    "kueue.fair-sharing.share-is-told", level=MUST, spec=SPEC, timed=True,
    red_when="status.fairSharing.weightedShare is not what the documented formula gives", mutant="weights-dropped",
)  # fmt: skip
def test_the_weighted_share_is_told_exactly(unequals: KueueRecording) -> None:
    """A ClusterQueue's status.fairSharing.weightedShare is 1000 * borrowed / lendable / weight, rounded up."""
    weights = {"double": 2, "single": 1}
    expected = {name: weighted_share(len(holding(unequals, name)), 3, weight) for name, weight in weights.items()}
    lines = unequals.timelines("ClusterQueue")
    told = {
        name: dig(lines[unequals.note(notes.QUEUES)[name]].final, "status", "fairSharing", "weightedShare")
        for name in weights
    }
    assert told == expected, unequals.timeline_text()


@scenario("fair-sharing")
def contention(lab: KueueLab) -> None:
    """Twice, one GPU is freed and two queues want it: once one has the lower share, once one has weight 0."""
    queues = rivals(lab, "less", 2, {"alpha": None, "beta": None})
    byhand.workload(lab, "blocker", queues["owner"])
    byhand.workload(lab, "alpha-has", queues["alpha"])
    lab.observe_admitted("blocker", "alpha-has")
    byhand.workload(lab, "alpha-wants", queues["alpha"], priority=1000)
    byhand.workload(lab, "beta-wants", queues["beta"])
    others = rivals(lab, "zero", 1, {"weightless": 0, "paying": 1})
    byhand.workload(lab, "zero-blocker", others["owner"])
    lab.observe_admitted("zero-blocker")
    byhand.workload(lab, "weightless-wants", others["weightless"], priority=1000)
    byhand.workload(lab, "paying-wants", others["paying"])
    decided(lab, "alpha-wants", "beta-wants", "weightless-wants", "paying-wants")
    lab.delete("Workload", "blocker")
    lab.delete("Workload", "zero-blocker")
    lab.observe(lambda: any(lab.has("Admitted", name) for name in ("alpha-wants", "beta-wants")), "one has it")
    lab.observe_admitted("paying-wants")
    lab.delete("Workload", "paying-wants")
    lab.observe_admitted("weightless-wants")


@behaviour(
    "kueue.fair-sharing.lower-share-first", level=MUST, spec=SPEC,
    red_when="in one cycle the head of the queue with the higher share is admitted first", mutant="weights-by-name",
)  # fmt: skip
def test_who_has_less_goes_first(contention: KueueRecording) -> None:
    """Of two borrowing heads, the one with the lower share after admission is first, despite age and priority."""
    order = [one for one in decisions(contention) if one.endswith("a-wants")]
    assert order == ["beta-wants"], contention.timeline_text()
    assert pending(contention, "alpha") == ["alpha-wants"], contention.timeline_text()


@behaviour(
    "kueue.fair-sharing.weight-zero-last", level=MUST, spec=SPEC,
    red_when="a queue of weight 0 borrows before a queue of positive weight, or never", mutant="weights-dropped",
)  # fmt: skip
def test_weight_zero_comes_last_but_comes(contention: KueueRecording) -> None:
    """A queue of weight 0 borrows only after a queue of positive weight, whatever the priority of its workload."""
    order = [one for one in decisions(contention) if one in {"weightless-wants", "paying-wants"}]
    assert order == ["paying-wants", "weightless-wants"], contention.timeline_text()


@scenario("admission-fair-sharing")
def past_use(lab: KueueLab) -> None:
    """Of two LocalQueues of one ClusterQueue, one has used the only GPU for seconds; both want it next."""
    scope = {"admissionMode": "UsageBasedAdmissionFairSharing"}
    queue = lab.queue(1, base="heavy", admissionScope=scope)
    lab.local_queue("light", queue.name)
    byhand.workload(lab, "heavy-0", "heavy")
    lab.observe_admitted("heavy-0")
    byhand.workload(lab, "heavy-1", "heavy", priority=1000)
    byhand.workload(lab, "light-0", "light")
    decided(lab, "heavy-1", "light-0")

    def used() -> Fraction:
        found = lab.get("LocalQueue", "heavy") or {}
        path = ("status", "fairSharing", "admissionFairSharingStatus", "consumedResources", GPU)
        return Fraction(parse_quantity(dig(found, *path, default=0)))

    for step in (1, 2):
        before = used()
        lab.observe(lambda before=before: used() > before, f"use grows, step {step}")
    lab.mark("freed")
    lab.delete("Workload", "heavy-0")
    lab.observe(lambda: any(lab.has("Admitted", name) for name in ("heavy-1", "light-0")), "one has it")
    peak = used()
    lab.observe(lambda: used() < peak, "use decays")
    for local in ("heavy", "light"):  # their statuses are written every second for ever
        lab.delete("LocalQueue", local)
    lab.observe(lambda: not lab.objects("LocalQueue"), "no LocalQueues")


@behaviour(
    "kueue.fair-sharing.past-use-orders", level=MUST, spec=ADMISSION,
    red_when="a LocalQueue's past usage does not change the order of admission", mutant="admission-scope-dropped",
)  # fmt: skip
def test_past_use_puts_a_local_queue_behind(past_use: KueueRecording) -> None:
    """With usage-based fair sharing, the LocalQueue with less past usage is first, despite age and priority."""
    assert decisions(past_use) == ["heavy-0", "light-0"], past_use.timeline_text()


@behaviour(
    "kueue.fair-sharing.past-use-is-told", level=SHOULD, spec=ADMISSION, timed=True,
    red_when="consumed resources do not grow with use, do not decay without, or exceed what is used",
    mutant="booked-next-door",
)  # fmt: skip
def test_past_use_is_told(past_use: KueueRecording) -> None:
    """A LocalQueue's consumedResources grow while it uses a GPU, never above that usage, and decay afterwards."""
    freed = past_use.mark("freed")
    before = [amount for at, amount in consumed_by(past_use, "heavy") if at < freed]
    after = [amount for at, amount in consumed_by(past_use, "heavy") if at > freed]
    assert before and before == sorted(before) and 0 < before[-1] <= 1, f"{before}: {past_use.timeline_text()}"
    assert after and after[-1] < max(before), f"{before}, {after}: {past_use.timeline_text()}"
    assert not any(amount for at, amount in consumed_by(past_use, "light") if at < freed), past_use.timeline_text()
