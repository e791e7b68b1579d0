"""When a ClusterQueue can admit: in whatever order its parts came, and what it says while it cannot."""

from __future__ import annotations

import itertools

from gpuassay import MUST, Manifest, Note, behaviour, scenario
from gpuassay.manifest import condition, is_true, name_of
from gpuassay.presence import must_have
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import admission_checks as checks
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import flips, workload_of
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"
PARTS: tuple[str, ...] = ("ResourceFlavor", "ClusterQueue", "LocalQueue", "Workload")


ORDERS = Note("orders", list[tuple[str, ...]], "in which order the kinds of object were created, set by set")


def _orders(full: bool) -> list[tuple[str, ...]]:
    """All 24 orders, or eight in which each part comes at each place, before and after each other one."""
    if full:
        return list(itertools.permutations(PARTS))
    turns = [PARTS[at:] + PARTS[:at] for at in range(4)]
    return turns + [turn[::-1] for turn in turns]


def _name(order: tuple[str, ...]) -> str:
    return "".join(part[0] for part in order).lower()


def _part(lab: KueueLab, kind: str, name: str) -> Manifest:
    wide = lab.unique(name)
    match kind:
        case "ResourceFlavor":
            return kueue.resource_flavor(wide)
        case "ClusterQueue":
            return kueue.cluster_queue(wide, [kueue.gpu_group(wide, 1)])
        case "LocalQueue":
            return kueue.local_queue(name, lab.namespace, wide)
        case _:
            return kueue.workload(name, lab.namespace, name, [kueue.pod_set(requests={"nvidia.com/gpu": 1})])


def _noticed(lab: KueueLab, kind: str, name: str) -> bool:
    """Whether Kueue has written down what it thinks of the object (of a flavor it never does)."""
    wide = lab.unique(name) if kind == "ClusterQueue" else name
    found = lab.get(kind, wide)
    told = {"ClusterQueue": "Active", "LocalQueue": "Active", "Workload": "QuotaReserved"}
    return kind == "ResourceFlavor" or (found is not None and condition(found, told[kind]) is not None)


@scenario()
def any_order(lab: KueueLab) -> None:
    """Flavor, ClusterQueue, LocalQueue and Workload are created in many orders, each after Kueue saw the one before."""
    orders = _orders(lab.full)
    lab.note(ORDERS, orders)
    for step in range(4):
        lab.create_all([_part(lab, order[step], _name(order)) for order in orders])
        lab.until(lambda step=step: all(_noticed(lab, order[step], _name(order)) for order in orders), f"step {step}")
    names = [_name(order) for order in orders]
    lab.observe(lambda: lab.has("Admitted", *names), "all admitted")
    lab.observe(lambda: all(is_true(queue, "Active") for queue in lab.objects("LocalQueue")), "all LocalQueues active")


@behaviour(
    "kueue.readiness.any-order", level=MUST, spec=SPEC,
    red_when="a workload is never admitted because its queue or flavor was created after it", mutant="admission-off",
)  # fmt: skip
def test_the_order_of_creation_does_not_matter(any_order: KueueRecording) -> None:
    """A workload is admitted in whatever order it, its queues and its flavor were created."""
    orders = must_have(any_order.note(ORDERS), "orders of creation")
    seen = {_name(order): workload_of(any_order, _name(order)) for order in orders}
    stuck = [name for name, one in seen.items() if one is None or not is_true(one.final, "Admitted")]
    assert not stuck, f"never admitted: {stuck} of {list(seen)}\n{any_order.timeline_text(stuck)}"


@behaviour(
    "kueue.readiness.missing-flavor", level=MUST, spec=SPEC,
    red_when="a ClusterQueue does not say that a flavor is missing", mutant="resource-groups-lost",
)  # fmt: skip
def test_a_queue_waits_for_its_flavor(any_order: KueueRecording) -> None:
    """A ClusterQueue is inactive as FlavorNotFound until its flavor exists, then active."""
    for order in must_have(any_order.note(ORDERS), "orders of creation"):
        if order.index("ResourceFlavor") < order.index("ClusterQueue"):
            continue
        queue = any_order.timelines("ClusterQueue")[f"{_name(order)}-{any_order.token}"]
        seen = [(one.status, one.reason) for one in queue.condition_changes() if one.type == "Active"]
        assert seen == [("False", "FlavorNotFound"), ("True", "Ready")], f"{order}: {seen}"


@behaviour(
    "kueue.readiness.local-queue-follows", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/local_queue/",
    red_when="a LocalQueue does not say that its ClusterQueue is missing or cannot admit", mutant="admission-off",
)  # fmt: skip
def test_a_local_queue_follows_its_cluster_queue(any_order: KueueRecording) -> None:
    """A LocalQueue is inactive while its ClusterQueue is missing or inactive, then active."""
    for order in must_have(any_order.note(ORDERS), "orders of creation"):
        flavor, cluster, local = (order.index(kind) for kind in PARTS[:3])
        queue = any_order.timelines("LocalQueue")[_name(order)]
        seen = [one.reason for one in queue.condition_changes() if one.type == "Active"]
        expected = ["ClusterQueueDoesNotExist"] if local < cluster else []
        expected += ["ClusterQueueIsInactive"] if max(local, cluster) < flavor else []
        # A ClusterQueue is inactive for a moment after it was created: what comes between is not part of the rule.
        told = [one for one in seen if one in expected or one == "Ready"]
        assert list(dict.fromkeys(told)) == [*expected, "Ready"], f"{order}: expected {expected}, seen {seen}"


@scenario()
def inactive(lab: KueueLab) -> None:
    """ClusterQueues that cannot admit for different reasons; one of the reasons goes away and comes back."""
    flavor = lab.flavor("any")
    sleeper = checks.check(lab, "sleeper", active=False)
    groups = [kueue.gpu_group(flavor, 1)]
    nothing = [kueue.gpu_group(lab.unique("no-flavor"), 1)]
    missing = lab.unique("no-check")
    queues = {
        "unchecked": lab.cluster_queue("unchecked", groups, checks=[missing], active=False),
        "dormant": lab.cluster_queue("dormant", groups, checks=[sleeper], active=False),
        "halted": lab.cluster_queue("halted", groups, stop="Hold", active=False),
        "broken": lab.cluster_queue("broken", nothing, checks=[missing], stop="Hold", active=False),
    }
    lab.local_queue("dormant", queues["dormant"])
    byhand.workload(lab, "patient", "dormant")

    def told(name: str) -> bool:
        return condition(lab.get("ClusterQueue", name) or {}, "Active") is not None

    def active() -> bool:
        return is_true(lab.get("ClusterQueue", queues["dormant"]) or {}, "Active")

    lab.observe(lambda: all(told(name) for name in queues.values()), "all say whether they are active")
    lab.note(notes.QUEUES, queues)
    lab.mark("woken")
    checks.report(lab, sleeper, active=True)
    lab.observe(lambda: active() and lab.has("QuotaReserved", "patient"), "patient gets quota")
    lab.mark("asleep")
    checks.report(lab, sleeper, active=False)
    lab.observe(lambda: not active(), "dormant is inactive again")


@behaviour(
    "kueue.readiness.inactive-reasons", level=MUST, spec=SPEC,
    red_when="a ClusterQueue that cannot admit does not say why", mutant="checks-dropped",
)  # fmt: skip
def test_an_inactive_queue_says_why(inactive: KueueRecording) -> None:
    """A ClusterQueue with a missing check, an inactive check or a stop policy is inactive for that reason."""
    seen: dict[str, str] = {}
    for base, name in inactive.note(notes.QUEUES).items():
        changes = [one for one in inactive.timelines("ClusterQueue")[name].condition_changes() if one.type == "Active"]
        seen[base] = changes[0].reason if changes and changes[0].status == "False" else "active"
    expected = {
        "unchecked": "AdmissionCheckNotFound", "dormant": "AdmissionCheckInactive", "halted": "Stopped",
        "broken": "Stopped",
    }  # fmt: skip
    assert seen == expected, f"expected {expected}, seen {seen}\n{inactive.timeline_text()}"


@behaviour(
    "kueue.readiness.all-reasons-told", level=MUST, spec=SPEC,
    red_when="a ClusterQueue that cannot admit for three reasons names fewer", mutant="checks-dropped",
)  # fmt: skip
def test_an_inactive_queue_names_every_reason(inactive: KueueRecording) -> None:
    """The message of an inactive ClusterQueue names all that is wrong: stopped, missing flavor, missing check."""
    found = condition(inactive.timelines("ClusterQueue")[inactive.note(notes.QUEUES)["broken"]].final, "Active") or {}
    message = str(found.get("message", ""))
    wanted = ["stopped", f"no-flavor-{inactive.token}", f"no-check-{inactive.token}"]
    assert all(word in message for word in wanted), f"expected {wanted} in {message!r}"


@behaviour(
    "kueue.readiness.check-wakes-queue", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/admission_check/",
    red_when="a ClusterQueue admits while its check is inactive, or not even once the check is active",
    mutant="checks-dropped",
)  # fmt: skip
def test_a_queue_is_active_as_long_as_its_check(inactive: KueueRecording) -> None:
    """A ClusterQueue reserves quota only while its check is active, and is inactive again when the check is."""
    queue = inactive.timelines("ClusterQueue")[inactive.note(notes.QUEUES)["dormant"]]
    patient = workload_of(inactive, "patient")
    got = flips(patient, "QuotaReserved") if patient else []
    assert len(got) == 1 and got[0].at > inactive.mark("woken"), f"{got}\n{inactive.timeline_text()}"
    seen = [(one.status, one.reason) for one in queue.condition_changes() if one.type == "Active"]
    expected = [("False", "AdmissionCheckInactive"), ("True", "Ready"), ("False", "AdmissionCheckInactive")]
    assert seen == expected, f"expected {expected}, seen {seen}"
    assert name_of(queue.final) == inactive.note(notes.QUEUES)["dormant"]
