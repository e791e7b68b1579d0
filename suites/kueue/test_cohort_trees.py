"""Cohorts with quota and parents of their own, and cohorts that change under way."""

from __future__ import annotations

from gpuassay import MUST, Note, behaviour, known_defect, scenario
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.cohorts import (
    evictions,
    holding,
    pending,
    reservations_beyond,
    sharing_findings,
    trees,
)
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from suites.kueue.sharing import decided, numbered

COHORT = "https://kueue.sigs.k8s.io/docs/concepts/cohort/"
CLUSTER_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#cohort"


BORROWERS = {case: Note(case, str, f"the borrower's ClusterQueue of the case {case}") for case in ("moved", "deleted")}


@scenario()
def hierarchy(lab: KueueLab) -> None:
    """A cohort with 2 GPUs of its own; two trees whose left branch borrows from the right, once with a limit of 1."""
    flavor = lab.flavor()
    own = lab.unique("own")
    lab.create(kueue.cohort(own, groups=[kueue.gpu_group(flavor, 2)]))
    queues = [lab.queue(1, base="own", cohort=own, flavor=flavor, active=False)]
    queues.append(lab.queue(1, base="own-other", cohort=own, flavor=flavor, active=False))
    for case, limit in (("wide", None), ("narrow", 1)):
        root, left, right = (lab.unique(f"{case}-{part}") for part in ("root", "left", "right"))
        lab.create(kueue.cohort(root))
        lab.create(kueue.cohort(left, parent=root, groups=[kueue.gpu_group(flavor, 0, borrowing=limit)]))
        lab.create(kueue.cohort(right, parent=root))
        queues.append(lab.queue(1, base=case, cohort=left, flavor=flavor, active=False))
        queues.append(lab.queue(2, base=f"{case}-other", cohort=right, flavor=flavor, active=False))
    lab.until_active(*(queue.name for queue in queues))
    lab.note(notes.QUEUES, {queue.local: queue.name for queue in queues})
    everyone: list[str] = []
    for case, count in (("own", 5), ("wide", 4), ("narrow", 4)):
        everyone += byhand.workloads(lab, numbered(case, count), case, distinct=True)
    decided(lab, *everyone)


def full_use(recording: KueueRecording, base: str) -> int:
    """GPUs that a queue may use while its tree is idle otherwise."""
    tree = next(iter(trees(recording).values()))
    return int(tree.queue(recording.note(notes.QUEUES)[base]).potential())


@behaviour(
    "kueue.cohorts.cohort-quota", level=MUST, spec=COHORT,
    red_when="quota of a Cohort object cannot be used by its queues", mutant="cohort-quota-dropped",
)  # fmt: skip
def test_a_cohorts_own_quota_is_shared(hierarchy: KueueRecording) -> None:
    """ClusterQueues can use the quota of their Cohort object on top of their own and each other's nominal quota."""
    assert full_use(hierarchy, "own") == 4
    assert len(holding(hierarchy, "own")) == 4, hierarchy.timeline_text()


@behaviour(
    "kueue.cohorts.borrow-across-the-tree", level=MUST, spec=COHORT,
    red_when="a ClusterQueue cannot borrow from another branch of its cohort tree", mutant="cohort-parent-dropped",
)  # fmt: skip
def test_quota_flows_between_branches(hierarchy: KueueRecording) -> None:
    """A ClusterQueue borrows the unused quota of another branch through the common parent Cohort."""
    assert full_use(hierarchy, "wide") == 3
    assert len(holding(hierarchy, "wide")) == 3, hierarchy.timeline_text()


@behaviour(
    "kueue.cohorts.cohort-borrowing-limit", level=MUST, spec=COHORT,
    red_when="a branch borrows more than its Cohort's borrowing limit", mutant="borrowing-limit-dropped",
)  # fmt: skip
def test_a_cohorts_borrowing_limit_is_kept(hierarchy: KueueRecording) -> None:
    """A Cohort's borrowingLimit bounds what its whole branch takes from the rest of the tree."""
    assert full_use(hierarchy, "narrow") == 2
    assert len(holding(hierarchy, "narrow")) == 2, hierarchy.timeline_text()


@behaviour(
    "kueue.cohorts.tree-work-conserving", level=MUST, spec=COHORT,
    red_when="a cohort tree exceeds its quota, or leaves a workload pending that would fit",
    mutant="cohort-quota-dropped",
)  # fmt: skip
def test_a_tree_keeps_its_quotas_and_wastes_none(hierarchy: KueueRecording) -> None:
    """In a cohort tree, quotas and limits are never exceeded, and at the end no workload that would fit is pending."""
    assert sharing_findings(hierarchy) == [], hierarchy.timeline_text()


REVIVED = 8.0
"""Seconds for a queue whose cohort is sound again to admit: eight of Kueue's batches, of a second each."""
TOUCHED = Note("touched", bool, "whether the queue admitted only once it was changed itself", default=False)


@scenario()
def cycle(lab: KueueLab) -> None:
    """A queue in a cycle of two cohorts and a queue outside of it each get a workload, then the cycle is removed."""
    lab.note(notes.EXPECTED_ERRORS, ["cohort has a cycle"])
    lab.note(notes.EDITED_IN_USE, True)
    ring, other = lab.unique("ring"), lab.unique("other")
    lab.create(kueue.cohort(ring, parent=other))
    lab.create(kueue.cohort(other, parent=ring))
    caught = lab.queue(1, base="caught", cohort=ring, active=False)
    byhand.workload(lab, "in-the-ring", caught)
    free = lab.queue(1, base="free", flavor=caught.flavor)  # the marker: all of it comes after what is caught
    byhand.workload(lab, "elsewhere", free)
    lab.observe_admitted("elsewhere")
    lab.mark("mended")
    lab.patch("Cohort", other, {"spec": {"parentName": None}})
    if not lab.observe(lambda: lab.has("Admitted", "in-the-ring"), "in-the-ring admitted", timeout=REVIVED):
        lab.patch("ClusterQueue", caught.name, {"metadata": {"annotations": {"gpuassay.io/touched": "true"}}})
        lab.note(TOUCHED, lab.observe_admitted("in-the-ring"))


def admitted_at(recording: KueueRecording, name: str) -> int | None:
    """When a Workload was first seen with quota (ns), or None."""
    history = recording.timelines("Workload").get(name)
    return history.when(lambda one: bool(one.get("status", {}).get("admission"))) if history else None


@behaviour(
    "kueue.cohorts.cycle-admits-nothing", level=MUST, spec=COHORT,
    red_when="queues admit although their cohorts form a cycle", mutant="cohort-parent-dropped",
)  # fmt: skip
def test_queues_in_a_cycle_admit_nothing(cycle: KueueRecording) -> None:
    """While cohorts form a cycle, their queues admit nothing."""
    marker = admitted_at(cycle, "elsewhere")  # it came after what is caught
    assert marker is not None and marker < cycle.mark("mended"), cycle.timeline_text()
    assert "in-the-ring" in cycle.timelines("Workload"), cycle.timeline_text()
    at, mended = admitted_at(cycle, "in-the-ring"), cycle.mark("mended")
    assert at is None or at > mended, cycle.timeline_text()


@behaviour(
    "kueue.cohorts.cycle-leaves-others-alone", level=MUST, spec=COHORT,
    red_when="a cohort cycle also stops admission in unrelated ClusterQueues", mutant="requests-doubled",
)  # fmt: skip
def test_a_cycle_does_not_stop_others(cycle: KueueRecording) -> None:
    """While two cohorts form a cycle, a ClusterQueue outside of them still admits."""
    at, mended = admitted_at(cycle, "elsewhere"), cycle.mark("mended")
    assert at is not None and at < mended, cycle.timeline_text()


@known_defect(
    "https://github.com/kubernetes-sigs/kueue/pull/13774",
    "a ClusterQueue that was left out for the cycle comes back with its own next event alone, which may have been",
    shows="the ClusterQueue admits only once it is changed itself", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.cohorts.cycle-can-be-mended", level=MUST, spec=COHORT,
    red_when="queues still admit nothing after their cohort cycle was removed", mutant="requests-doubled",
)  # fmt: skip
def test_a_mended_cycle_admits_again(cycle: KueueRecording) -> None:
    """When a cohort cycle is removed, the workload that was pending in its queue is admitted."""
    assert holding(cycle, "caught") == ["in-the-ring"], cycle.timeline_text()
    text = (
        f"after the cycle was removed, the ClusterQueue admits only once it is changed itself\n{cycle.timeline_text()}"
    )
    assert not cycle.note(TOUCHED), text


@scenario()
def shrinking(lab: KueueLab) -> None:
    """Two borrowers use 2 own and 2 borrowed GPUs; then one's lender leaves the cohort and the other's is deleted."""
    lab.note(notes.EDITED_IN_USE, True)
    flavor = lab.flavor()
    for case in BORROWERS:
        cohort = lab.unique(case)
        borrower = lab.queue(2, base=case, cohort=cohort, flavor=flavor)
        lender = lab.queue(2, base=f"{case}-lender", cohort=cohort, flavor=flavor)
        byhand.workloads(lab, numbered(case, 4), borrower)
        lab.observe_admitted(*numbered(case, 4))
        byhand.workload(lab, f"{case}-late", borrower, distinct=True)
        decided(lab, f"{case}-late")
        if case == "moved":
            lab.patch("ClusterQueue", lender.name, {"spec": {"cohortName": None}})
            byhand.workload(lab, "moved-marker", lender, gpus=2)  # has its own quota only once it has left
            lab.observe_admitted("moved-marker")
        else:
            lab.delete("LocalQueue", lender.local)
            lab.delete("ClusterQueue", lender.name)
            lab.observe(lambda gone=lender.name: lab.get("ClusterQueue", gone) is None, "the lender gone")
        lab.mark(case)
        lab.note(BORROWERS[case], borrower.name)
        lab.note(notes.QUOTA_CHANGED, [borrower.name, lender.name])
        lab.delete("Workload", f"{case}-0")
        lab.observe(lambda name=f"{case}-0": lab.workload_of(name) is None, f"{case}-0 gone")
        byhand.workload(lab, f"{case}-latest", borrower, distinct=True)
        decided(lab, f"{case}-latest")


@behaviour(
    "kueue.cohorts.leaving-shrinks-the-pool", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a queue that left a cohort still lends to it, or its leaving evicts borrowers", mutant="quota-doubled",
)  # fmt: skip
def test_a_queue_that_leaves_takes_its_quota_along(shrinking: KueueRecording) -> None:
    """When a lender leaves its cohort, no borrower is evicted and nothing is admitted beyond the remaining quota."""
    since, queue = shrinking.mark("moved"), shrinking.note(BORROWERS["moved"])
    assert reservations_beyond(shrinking, queue, 2, since) == [], shrinking.timeline_text()
    assert holding(shrinking, "moved") == numbered("moved", 4)[1:], shrinking.timeline_text()
    assert pending(shrinking, "moved") == ["moved-late", "moved-latest"], shrinking.timeline_text()
    assert holding(shrinking, "moved-lender") == ["moved-marker"], shrinking.timeline_text()
    assert evictions(shrinking) == {}


@behaviour(
    "kueue.cohorts.deleting-shrinks-the-pool", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a deleted queue still lends to its cohort, or its deletion evicts borrowers", mutant="quota-doubled",
)  # fmt: skip
def test_a_deleted_queue_takes_its_quota_along(shrinking: KueueRecording) -> None:
    """When a lender is deleted, no borrower is evicted and nothing is admitted beyond the remaining quota."""
    since, queue = shrinking.mark("deleted"), shrinking.note(BORROWERS["deleted"])
    assert reservations_beyond(shrinking, queue, 2, since) == [], shrinking.timeline_text()
    assert holding(shrinking, "deleted") == numbered("deleted", 4)[1:], shrinking.timeline_text()
    assert pending(shrinking, "deleted") == ["deleted-late", "deleted-latest"], shrinking.timeline_text()
    assert evictions(shrinking) == {}
