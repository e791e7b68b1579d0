"""How queues of a cohort share quota: borrowing, lending, reclaiming."""

from __future__ import annotations

from gpuassay import MUST, behaviour, scenario
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.cohorts import evictions, holding, pending, sharing_findings, trees
from gpuassay.systems.kueue.judge.queueing import decisions, unwitnessed_findings
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.sharing import decided, numbered

COHORT = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#cohort"
BORROWING = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#borrowinglimit"
LENDING = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#lendinglimit"
SEMANTICS = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#flavors-and-borrowing-semantics"
PREEMPTION = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"


@scenario()
def limits(lab: KueueLab) -> None:
    """Four cohorts of a borrower and a lender with 2 GPUs each; the borrower gets 5 workloads of one GPU."""
    flavor = lab.flavor()
    queues: dict[str, Queue] = {}
    for case, borrowing, lending in (("free", None, None), ("capped", 1, None), ("shut", 0, None), ("kept", None, 1)):
        cohort = lab.unique(case)
        for side, mine, theirs in (("borrower", borrowing, None), ("lender", None, lending)):
            base = f"{case}-{side}"
            queues[base] = lab.queue(
                2, base=base, cohort=cohort, flavor=flavor, borrowing=mine, lending=theirs, active=False
            )
    lab.until_active(*(queue.name for queue in queues.values()))
    lab.note(notes.QUEUES, {base: queue.name for base, queue in queues.items()})
    everyone: list[str] = []
    for case in ("free", "capped", "shut", "kept"):
        everyone += byhand.workloads(lab, numbered(case, 5), queues[f"{case}-borrower"], distinct=True)
    decided(lab, *everyone)
    decided(lab, *byhand.workloads(lab, numbered("owner", 2), queues["kept-lender"], distinct=True))


def full_use(recording: KueueRecording, base: str) -> int:
    """GPUs that a queue may use while its cohort is idle otherwise."""
    name = recording.note(notes.QUEUES)[base]
    tree = next(iter(trees(recording).values()))
    return int(tree.queue(name).potential())


@behaviour(
    "kueue.cohorts.borrow-unused", level=MUST, spec=SEMANTICS,
    red_when="a queue is held to its own quota although its cohort has some unused", mutant="borrowing-off",
)  # fmt: skip
def test_unused_quota_of_the_cohort_can_be_borrowed(limits: KueueRecording) -> None:
    """A ClusterQueue with 2 own GPUs borrows the 2 unused ones of its cohort and holds exactly 4."""
    assert full_use(limits, "free-borrower") == 4
    assert len(holding(limits, "free-borrower")) == 4, limits.timeline_text()


@behaviour(
    "kueue.cohorts.borrowing-limit", level=MUST, spec=BORROWING,
    red_when="a queue borrows more or less than its borrowing limit", mutant="borrowing-limit-dropped",
)  # fmt: skip
def test_a_borrowing_limit_is_kept_exactly(limits: KueueRecording) -> None:
    """With borrowingLimit 1, a queue of 2 GPUs uses exactly 3 of its cohort's 4."""
    assert full_use(limits, "capped-borrower") == 3
    assert len(holding(limits, "capped-borrower")) == 3, limits.timeline_text()


@behaviour(
    "kueue.cohorts.borrowing-limit-zero", level=MUST, spec=BORROWING,
    red_when="borrowingLimit 0 is taken for no limit", mutant="borrowing-limit-dropped",
)  # fmt: skip
def test_borrowing_limit_zero_forbids_borrowing(limits: KueueRecording) -> None:
    """With borrowingLimit 0, a queue uses exactly its own quota, whatever its cohort has."""
    assert full_use(limits, "shut-borrower") == 2
    assert len(holding(limits, "shut-borrower")) == 2, limits.timeline_text()


@behaviour(
    "kueue.cohorts.lending-limit", level=MUST, spec=LENDING,
    red_when="a cohort borrows more than a queue's lending limit", mutant="lending-limit-dropped",
)  # fmt: skip
def test_a_lending_limit_is_kept_exactly(limits: KueueRecording) -> None:
    """With lendingLimit 1 on a queue of 2 GPUs, its cohort borrows exactly one of them."""
    assert full_use(limits, "kept-borrower") == 3
    assert len(holding(limits, "kept-borrower")) == 3, limits.timeline_text()


@behaviour(
    "kueue.cohorts.lender-keeps-its-share", level=MUST, spec=LENDING,
    red_when="the quota kept back by a lending limit is not available to its owner", mutant="lending-limit-dropped",
)  # fmt: skip
def test_what_is_not_lent_is_there_for_its_owner(limits: KueueRecording) -> None:
    """An owner uses the quota kept back by its lendingLimit without preemption, and waits for the quota lent out."""
    assert len(holding(limits, "kept-lender")) == 1, limits.timeline_text()
    assert len(pending(limits, "kept-lender")) == 1, limits.timeline_text()
    assert evictions(limits) == {}


@behaviour(
    "kueue.cohorts.work-conserving", level=MUST, spec=SEMANTICS,
    red_when="a workload waits although its cohort has room for it, or a cohort hands out more than it has",
    mutant="borrowing-off",
)  # fmt: skip
def test_no_quota_idles_and_none_is_exceeded(limits: KueueRecording) -> None:
    """In a cohort, quotas and limits are never exceeded, and at the end no workload that would fit is pending."""
    assert sharing_findings(limits) == [], limits.timeline_text()


@scenario()
def one_cycle(lab: KueueLab) -> None:
    """A workload of the quota's owner and an older borrowing one of higher priority wait for the same 2 GPUs."""
    cohort = lab.unique("cohort")
    owner = lab.queue(2, base="owner", cohort=cohort)
    borrower = lab.queue(0, base="borrower", cohort=cohort, flavor=owner.flavor)
    byhand.workload(lab, "running", owner, gpus=2)
    lab.until_admitted("running")
    byhand.workload(lab, "borrowed", borrower, gpus=2, priority=1000)
    decided(lab, "borrowed")
    byhand.workload(lab, "owned", owner, gpus=2)
    decided(lab, "owned")
    lab.delete("Workload", "running")
    lab.observe(lambda: lab.has("Admitted", "owned") or lab.has("Admitted", "borrowed"), "one of them admitted")


@behaviour(
    "kueue.cohorts.nominal-before-borrowing", level=MUST, spec=SEMANTICS,
    red_when="in one cycle a borrower is admitted before the owner of the quota", mutant="owner-and-borrower-swapped",
)  # fmt: skip
def test_who_needs_not_borrow_goes_first(one_cycle: KueueRecording) -> None:
    """In one scheduling cycle, a head that fits nominal quota is admitted before a borrowing one of higher priority."""
    assert decisions(one_cycle) == ["running", "owned"], one_cycle.timeline_text()
    assert not unwitnessed_findings(one_cycle), unwitnessed_findings(one_cycle)
    assert pending(one_cycle, "borrower") == ["borrowed"], one_cycle.timeline_text()


@scenario()
def strict_neighbour(lab: KueueLab) -> None:
    """A StrictFIFO queue is blocked by its head; a neighbour of its cohort has room of its own."""
    cohort = lab.unique("cohort")
    strict = lab.queue(1, base="strict", cohort=cohort, strategy="StrictFIFO")
    neighbour = lab.queue(1, base="neighbour", cohort=cohort, flavor=strict.flavor)
    byhand.workload(lab, "running", strict)
    lab.until_pending(strict.name, 0)
    decided(lab, "running")
    byhand.workload(lab, "head", strict, gpus=2)
    decided(lab, "head")
    byhand.next_second(lab)  # within a second the UID decides who is the head
    byhand.workload(lab, "behind", strict)
    byhand.workload(lab, "next-door", neighbour)
    lab.observe_admitted("next-door")


@behaviour(
    "kueue.cohorts.strict-head-blocks-its-own-queue-only", level=MUST,
    spec="https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#queueing-strategy",
    red_when="a blocked head of one queue holds up another queue of its cohort", mutant="requests-doubled",
)  # fmt: skip
def test_a_blocked_head_does_not_block_the_cohort(strict_neighbour: KueueRecording) -> None:
    """The blocked head of a StrictFIFO queue does not keep another queue of the cohort from its own quota."""
    assert decisions(strict_neighbour) == ["running", "next-door"], strict_neighbour.timeline_text()


@scenario()
def reclaiming(lab: KueueLab) -> None:
    """Three owners find their GPUs borrowed: one may reclaim from anybody, one from lower priorities, one never."""
    flavor = lab.flavor()
    low, middle, high = (lab.priority_class(name, value) for name, value in (("low", 1), ("middle", 10), ("high", 100)))
    sizes = {"any": (1, 1, "Any"), "lower": (0, 2, "LowerPriority"), "never": (1, 1, None)}
    queues: dict[str, Queue] = {}
    for case, (borrower, owner, reclaim) in sizes.items():
        cohort = lab.unique(case)
        policy = {"reclaimWithinCohort": reclaim} if reclaim else None
        for side, gpus, preemption in (("borrower", borrower, None), ("owner", owner, policy)):
            base = f"{case}-{side}"
            queues[base] = lab.queue(gpus, base=base, cohort=cohort, flavor=flavor, active=False, preemption=preemption)
    lab.until_active(*(queue.name for queue in queues.values()))
    unbound, borrowers = byhand.unbound, [("any-0", high), ("any-1", high), ("lower-low", low), ("lower-high", high)]
    lab.create_all([unbound(name, lab, queues[f"{name.split('-')[0]}-borrower"], priority=p) for name, p in borrowers])
    byhand.workloads(lab, numbered("never", 2), queues["never-borrower"])
    lab.until_admitted(*(name for name, _ in borrowers), *numbered("never", 2))
    byhand.workload(lab, "never-owned", queues["never-owner"], priority=1000)
    lab.create(unbound("any-owned", lab, queues["any-owner"], priority=low))
    lab.create(unbound("lower-owned", lab, queues["lower-owner"], priority=middle))
    lab.observe_admitted("any-owned", "lower-owned")
    lab.create(unbound("lower-second", lab, queues["lower-owner"], priority=middle))
    decided(lab, "never-owned", "lower-second")


def victims(recording: KueueRecording, case: str) -> dict[str, list[str]]:
    """Evictions of one of the cases."""
    return {name: causes for name, causes in evictions(recording).items() if name.startswith(case)}


@behaviour(
    "kueue.cohorts.reclaim-any", level=MUST, spec=PREEMPTION,
    red_when="an owner cannot get back lent quota, or takes more than it needs", mutant="reclaim-any-to-lower-priority",
)  # fmt: skip
def test_an_owner_reclaims_from_any_priority(reclaiming: KueueRecording) -> None:
    """With reclaimWithinCohort Any, an owner of lent quota gets it back by one eviction, whatever the priorities."""
    assert holding(reclaiming, "any-owner") == ["any-owned"], reclaiming.timeline_text()
    assert list(victims(reclaiming, "any").values()) == [["InCohortReclamation"]], reclaiming.timeline_text()
    assert len(holding(reclaiming, "any-borrower")) == 1, reclaiming.timeline_text()


@behaviour(
    "kueue.cohorts.reclaim-lower-priority", level=MUST, spec=PREEMPTION,
    red_when="reclaiming with LowerPriority takes from an equal or higher priority", mutant="preemption-everywhere",
)  # fmt: skip
def test_an_owner_reclaims_from_lower_priorities_only(reclaiming: KueueRecording) -> None:
    """With reclaimWithinCohort LowerPriority, an owner reclaims its quota only from borrowers of lower priority."""
    assert victims(reclaiming, "lower") == {"lower-low": ["InCohortReclamation"]}, reclaiming.timeline_text()
    assert holding(reclaiming, "lower-borrower") == ["lower-high"], reclaiming.timeline_text()
    assert holding(reclaiming, "lower-owner") == ["lower-owned"], reclaiming.timeline_text()


@behaviour(
    "kueue.cohorts.reclaim-never", level=MUST, spec=PREEMPTION,
    red_when="a queue without reclaimWithinCohort evicts a borrower", mutant="preemption-everywhere",
)  # fmt: skip
def test_without_permission_lent_quota_is_not_reclaimed(reclaiming: KueueRecording) -> None:
    """Without reclaimWithinCohort, an owner waits for its lent quota even at a higher priority."""
    assert holding(reclaiming, "never-borrower") == ["never-0", "never-1"], reclaiming.timeline_text()
    assert victims(reclaiming, "never") == {}, reclaiming.timeline_text()
    assert pending(reclaiming, "never-owner") == ["never-owned"], reclaiming.timeline_text()


@scenario()
def borrowing_by_force(lab: KueueLab) -> None:
    """A queue without own quota may evict borrowers of its cohort up to priority 100 to borrow in their place."""
    cohort, values = lab.unique("cohort"), {"low": 10, "middle": 500, "high": 1000}
    classes = {name: lab.priority_class(name, value) for name, value in values.items()}
    force = {"policy": "LowerPriority", "maxPriorityThreshold": 100}
    owner = lab.queue(2, base="owner", cohort=cohort)
    weak = lab.queue(0, base="weak", cohort=cohort, flavor=owner.flavor)
    strong = lab.queue(
        0, base="strong", cohort=cohort, flavor=owner.flavor,
        preemption={"reclaimWithinCohort": "LowerPriority", "borrowWithinCohort": force},
    )  # fmt: skip
    lab.create_all([byhand.unbound(f"weak-{name}", lab, weak, priority=classes[name]) for name in ("low", "middle")])
    lab.until_admitted("weak-low", "weak-middle")
    lab.create(byhand.unbound("strong-0", lab, strong, priority=classes["high"]))
    lab.observe_admitted("strong-0", timeout=6)
    lab.create(byhand.unbound("strong-1", lab, strong, priority=classes["high"]))
    decided(lab, "strong-1")


@behaviour(
    "kueue.cohorts.borrow-within-cohort", level=MUST, spec=PREEMPTION, timed=True,
    red_when="borrowWithinCohort does not let a borrower evict lower priorities", mutant="borrow-within-cohort-dropped",
)  # fmt: skip
def test_a_borrower_may_evict_lower_priorities(borrowing_by_force: KueueRecording) -> None:
    """With borrowWithinCohort LowerPriority, a workload that must borrow evicts a borrower of lower priority."""
    found = borrowing_by_force
    assert evictions(found).get("weak-low") == ["InCohortReclaimWhileBorrowing"], found.timeline_text()
    assert holding(found, "strong") == ["strong-0"], found.timeline_text()


@behaviour(
    "kueue.cohorts.borrow-within-cohort-threshold", level=MUST, spec=PREEMPTION, timed=True,
    red_when="a borrower evicts a workload above maxPriorityThreshold", mutant="borrow-threshold-dropped",
)  # fmt: skip
def test_a_borrower_spares_priorities_above_the_threshold(borrowing_by_force: KueueRecording) -> None:
    """A borrowing preemptor does not evict a lower priority workload that is above maxPriorityThreshold."""
    found = borrowing_by_force
    assert "weak-middle" not in evictions(found), found.timeline_text()
    assert pending(found, "strong") == ["strong-1"], found.timeline_text()
