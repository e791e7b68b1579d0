"""Which flavor a workload gets, and when a queue tries the next one before it borrows or preempts."""

from __future__ import annotations

from typing import Any

from gpuassay import MUST, Manifest, Note, behaviour, scenario
from gpuassay.labels import GPU
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.cohorts import evictions, flavor_of, pending
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#flavorfungibility"
FLAVOR = "https://kueue.sigs.k8s.io/docs/concepts/resource_flavor/"
TAINT: Manifest = {"key": "gpuassay.io/spot", "value": "true", "effect": "NoSchedule"}
TOLERATION: Manifest = {"key": "gpuassay.io/spot", "operator": "Exists", "effect": "NoSchedule"}
TIER = "gpuassay.io/tier"


FLAVORS = Note("flavors", dict[str, str], "name of each ResourceFlavor, by what the scenario calls it")


def two_flavors(first: tuple[str, int], second: tuple[str, int]) -> list[Manifest]:
    """A resource group of two flavors (name, GPUs), tried in this order."""
    return [kueue.resource_group({name: [kueue.quota(GPU, gpus)] for name, gpus in (first, second)})]


def queue(lab: KueueLab, base: str, first: tuple[str, int], second: tuple[str, int], **options: Any) -> Queue:
    """A ClusterQueue of two flavors with its LocalQueue."""
    name = lab.cluster_queue(base, two_flavors(first, second), **options)
    lab.local_queue(base, name)
    return Queue(name=name, local=base, flavor=first[0])


def particular(lab: KueueLab, name: str, local: Queue, **pod_spec: object) -> None:
    """A Workload of one GPU whose pods have further fields."""
    pods = kueue.pod_set(requests={GPU: 1})
    pods["template"]["spec"] |= pod_spec
    lab.create(kueue.workload(name, lab.namespace, local.local, [pods]))


@scenario()
def trial(lab: KueueLab) -> None:
    """Three queues of two flavors each: one GPU per flavor, a tainted first flavor, different node labels."""
    first, second = lab.flavor("first"), lab.flavor("second")
    tainted = lab.flavor("tainted", node_taints=[TAINT])
    gold, silver = (lab.flavor(tier, node_labels={TIER: tier}) for tier in ("gold", "silver"))
    lab.note(FLAVORS, {"first": first, "second": second, "tainted": tainted, "gold": gold, "silver": silver})
    plain = queue(lab, "plain", (first, 1), (second, 1))
    for name in ("plain-0", "plain-1", "plain-2"):
        byhand.workload(lab, name, plain)
        lab.observe(lambda name=name: lab.decided(name), f"{name} decided")
    spot = queue(lab, "spot", (tainted, 2), (second, 2))
    particular(lab, "spot-wary", spot)
    particular(lab, "spot-tolerant", spot, tolerations=[TOLERATION])
    tiers = queue(lab, "tiers", (gold, 2), (silver, 2))
    particular(lab, "tiers-any", tiers)
    particular(lab, "tiers-silver", tiers, nodeSelector={TIER: "silver"})
    names = ("spot-wary", "spot-tolerant", "tiers-any", "tiers-silver")
    lab.observe(lambda: lab.decided(*names), "all decided")


@behaviour(
    "kueue.fungibility.first-that-fits", level=MUST, spec=SPEC,
    red_when="flavors are not tried in the queue's order", mutant="flavors-reversed",
)  # fmt: skip
def test_the_first_flavor_that_fits_is_taken(trial: KueueRecording) -> None:
    """A workload gets the first flavor of its queue's list that has room; when all are full, it waits."""
    flavors = trial.note(FLAVORS)
    got = [flavor_of(trial, f"plain-{index}") for index in range(3)]
    assert got == [flavors["first"], flavors["second"], None], trial.timeline_text()
    assert pending(trial, "plain") == ["plain-2"], trial.timeline_text()


@behaviour(
    "kueue.fungibility.taint-excludes", level=MUST, spec=FLAVOR,
    red_when="a workload gets a flavor whose taint it does not tolerate", mutant="flavor-taints-lost",
)  # fmt: skip
def test_an_untolerated_taint_excludes_a_flavor(trial: KueueRecording) -> None:
    """A flavor with a taint is skipped for pods that do not tolerate it."""
    assert flavor_of(trial, "spot-wary") == trial.note(FLAVORS)["second"], trial.timeline_text()


@behaviour(
    "kueue.fungibility.toleration-admits", level=MUST, spec=FLAVOR,
    red_when="a workload that tolerates a flavor's taint does not get that flavor", mutant="tolerations-lost",
)  # fmt: skip
def test_a_toleration_opens_a_tainted_flavor(trial: KueueRecording) -> None:
    """Pods that tolerate a flavor's taint get that flavor when it is first in the queue's list."""
    assert flavor_of(trial, "spot-tolerant") == trial.note(FLAVORS)["tainted"], trial.timeline_text()


@behaviour(
    "kueue.fungibility.node-selector-excludes", level=MUST, spec=FLAVOR,
    red_when="a workload gets a flavor whose node labels contradict its node selector", mutant="node-labels-lost",
)  # fmt: skip
def test_a_node_selector_excludes_a_flavor(trial: KueueRecording) -> None:
    """A flavor is skipped when its node labels contradict the pods' node selector; other pods take it."""
    flavors = trial.note(FLAVORS)
    assert flavor_of(trial, "tiers-silver") == flavors["silver"], trial.timeline_text()
    assert flavor_of(trial, "tiers-any") == flavors["gold"], trial.timeline_text()


@scenario()
def choices(lab: KueueLab) -> None:
    """Queues of different flavorFungibility choose between borrowing, preempting and the next flavor."""
    first, second = lab.flavor("first"), lab.flavor("second")
    lab.note(FLAVORS, {"first": first, "second": second})
    on, stop = "TryNextFlavor", "MayStopSearch"
    for case, policy in (("borrow", None), ("rather-next", {"whenCanBorrow": on})):
        cohort = lab.unique(case)
        lender = lab.cluster_queue(f"{case}-lender", two_flavors((first, 1), (second, 0)), cohort=cohort, active=False)
        borrower = queue(lab, case, (first, 1), (second, 1), cohort=cohort, fungibility=policy)
        lab.until_active(lender)
        byhand.workload(lab, f"{case}-0", borrower)
        lab.observe_admitted(f"{case}-0")
        byhand.workload(lab, f"{case}-1", borrower)
    force = {"withinClusterQueue": "LowerPriority"}
    for case, policy in (("spare", None), ("evict", {"whenCanPreempt": stop})):
        local = queue(lab, case, (first, 1), (second, 1), preemption=force, fungibility=policy)
        byhand.workload(lab, f"{case}-low", local)
        lab.observe_admitted(f"{case}-low")
        byhand.workload(lab, f"{case}-high", local, priority=100)
    for case, preference in (
        ("prefer-borrowing", "BorrowingOverPreemption"),
        ("prefer-preemption", "PreemptionOverBorrowing"),
    ):
        cohort = lab.unique(case)
        lender = lab.cluster_queue(f"{case}-lender", two_flavors((first, 0), (second, 1)), cohort=cohort, active=False)
        policy = {"whenCanBorrow": on, "whenCanPreempt": on, "preference": preference}
        local = queue(lab, case, (first, 1), (second, 0), cohort=cohort, preemption=force, fungibility=policy)
        lab.until_active(lender)
        byhand.workload(lab, f"{case}-low", local)
        lab.observe_admitted(f"{case}-low")
        byhand.workload(lab, f"{case}-high", local, priority=100)
    lab.observe(lambda: len(byhand.evicted(lab)) >= 2, "two evicted")
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted(
        "borrow-1",
        "rather-next-1",
        "spare-high",
        "evict-high",
        *(f"prefer-{one}-high" for one in ("borrowing", "preemption")),
    )


@behaviour(
    "kueue.fungibility.borrow-before-next", level=MUST, spec=SPEC,
    red_when="by default the next flavor is tried before borrowing", mutant="fungibility-swapped",
)  # fmt: skip
def test_by_default_borrowing_comes_before_the_next_flavor(choices: KueueRecording) -> None:
    """By default (whenCanBorrow MayStopSearch) a queue borrows in the first flavor, although the second is free."""
    assert flavor_of(choices, "borrow-1") == choices.note(FLAVORS)["first"], choices.timeline_text()


@behaviour(
    "kueue.fungibility.next-before-borrowing", level=MUST, spec=SPEC,
    red_when="with whenCanBorrow TryNextFlavor a queue borrows although its second flavor is free",
    mutant="fungibility-swapped",
)  # fmt: skip
def test_the_next_flavor_can_come_before_borrowing(choices: KueueRecording) -> None:
    """With whenCanBorrow TryNextFlavor, a queue takes its second flavor rather than borrow in the first."""
    assert flavor_of(choices, "rather-next-1") == choices.note(FLAVORS)["second"], choices.timeline_text()


@behaviour(
    "kueue.fungibility.next-before-preemption", level=MUST, spec=SPEC,
    red_when="by default a queue evicts although its second flavor is free", mutant="fungibility-swapped",
)  # fmt: skip
def test_by_default_the_next_flavor_comes_before_preemption(choices: KueueRecording) -> None:
    """By default (whenCanPreempt TryNextFlavor) a queue takes its second flavor rather than evict in the first."""
    assert flavor_of(choices, "spare-high") == choices.note(FLAVORS)["second"], choices.timeline_text()
    assert "spare-low" not in evictions(choices), choices.timeline_text()


@behaviour(
    "kueue.fungibility.preempt-before-next", level=MUST, spec=SPEC,
    red_when="with whenCanPreempt MayStopSearch a queue takes its second flavor instead of evicting in the first",
    mutant="fungibility-swapped",
)  # fmt: skip
def test_preemption_can_come_before_the_next_flavor(choices: KueueRecording) -> None:
    """With whenCanPreempt MayStopSearch, a queue evicts in the first flavor, although the second is free."""
    flavors = choices.note(FLAVORS)
    assert flavor_of(choices, "evict-high") == flavors["first"], choices.timeline_text()
    assert evictions(choices).get("evict-low") == ["InClusterQueue"], choices.timeline_text()
    assert flavor_of(choices, "evict-low") == flavors["second"], choices.timeline_text()


@behaviour(
    "kueue.fungibility.prefer-borrowing", level=MUST, spec=SPEC,
    red_when="with preference BorrowingOverPreemption a queue evicts where it could borrow",
    mutant="flavor-preference-swapped",
)  # fmt: skip
def test_borrowing_can_be_preferred_to_preemption(choices: KueueRecording) -> None:
    """With preference BorrowingOverPreemption, a queue borrows in its second flavor rather than evict in its first."""
    assert flavor_of(choices, "prefer-borrowing-high") == choices.note(FLAVORS)["second"], choices.timeline_text()
    assert "prefer-borrowing-low" not in evictions(choices), choices.timeline_text()


@behaviour(
    "kueue.fungibility.prefer-preemption", level=MUST, spec=SPEC,
    red_when="with preference PreemptionOverBorrowing a queue borrows where it could evict",
    mutant="flavor-preference-swapped",
)  # fmt: skip
def test_preemption_can_be_preferred_to_borrowing(choices: KueueRecording) -> None:
    """With preference PreemptionOverBorrowing, a queue evicts in its first flavor rather than borrow in its second."""
    assert flavor_of(choices, "prefer-preemption-high") == choices.note(FLAVORS)["first"], choices.timeline_text()
    assert evictions(choices).get("prefer-preemption-low") == ["InClusterQueue"], choices.timeline_text()
