"""Broken systems for cohorts, fair sharing, flavors, readiness and counted resources (see `scenario.mutants`)."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay import labels
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.scenarios.mutants import mutant

MIG_PREFIXES = ("nvidia.com/mig-", "mig.das.com/")


def _quotas(obj: Manifest) -> Iterator[Manifest]:
    for group in dig(obj, "spec", "resourceGroups", default=[]):
        for flavor in group["flavors"]:
            yield from flavor["resources"]


def _pod_specs(obj: Manifest) -> Iterator[Manifest]:
    """The pod specs of what is queued: a Job's one, a Workload's one per pod set."""
    if obj["kind"] == "Job":
        yield obj["spec"]["template"]["spec"]
    if obj["kind"] == "Workload":
        for pod_set in obj["spec"]["podSets"]:
            yield pod_set["template"]["spec"]


def _amounts(obj: Manifest) -> Iterator[dict[str, str]]:
    """Requests and limits of all containers of what is queued."""
    for spec in _pod_specs(obj):
        for container in spec["containers"]:
            yield from (container.get("resources") or {}).values()


@mutant("requests-doubled", "everything is charged twice the GPUs that it asks for")
def _requests_doubled(obj: Manifest) -> None:
    for amounts in _amounts(obj):
        if labels.GPU in amounts:
            amounts[labels.GPU] = str(2 * int(amounts[labels.GPU]))


@mutant("owner-and-borrower-swapped", "who owns nominal quota is taken for who borrows it")
def _owner_and_borrower_swapped(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue" and dig(obj, "spec", "cohortName"):
        for quota in _quotas(obj):
            quota["nominalQuota"] = "2" if str(quota["nominalQuota"]) == "0" else "0"


@mutant("cohort-quota-dropped", "a Cohort's own quota does not count")
def _cohort_quota_dropped(obj: Manifest) -> None:
    if obj["kind"] == "Cohort":
        obj["spec"].pop("resourceGroups", None)


@mutant("cohort-parent-dropped", "a Cohort stands alone whatever its parent is")
def _cohort_parent_dropped(obj: Manifest) -> None:
    if obj["kind"] == "Cohort":
        obj["spec"].pop("parentName", None)
        for quota in _quotas(obj):  # limits are only legal below a parent
            quota.pop("borrowingLimit", None)
            quota.pop("lendingLimit", None)


@mutant("borrow-within-cohort-dropped", "nobody preempts while borrowing, although the queue may")
def _borrow_within_cohort_dropped(obj: Manifest) -> None:
    dig(obj, "spec", "preemption", default={}).pop("borrowWithinCohort", None)


@mutant("borrow-threshold-dropped", "who preempts while borrowing preempts any lower priority")
def _borrow_threshold_dropped(obj: Manifest) -> None:
    dig(obj, "spec", "preemption", "borrowWithinCohort", default={}).pop("maxPriorityThreshold", None)


@mutant("reclaim-any-to-lower-priority", "quota is reclaimed from lower priorities only, although from any was asked")
def _reclaim_any_to_lower_priority(obj: Manifest) -> None:
    preemption = dig(obj, "spec", "preemption", default={})
    if preemption.get("reclaimWithinCohort") == "Any":
        preemption["reclaimWithinCohort"] = "LowerPriority"


@mutant("flavors-reversed", "flavors are tried from the last to the first")
def _flavors_reversed(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        for group in obj["spec"]["resourceGroups"]:
            group["flavors"].reverse()


@mutant("fungibility-swapped", "where a queue should stop its search for a flavor it goes on, and the reverse")
def _fungibility_swapped(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        other = {"MayStopSearch": "TryNextFlavor", "TryNextFlavor": "MayStopSearch"}
        asked = dig(obj, "spec", "flavorFungibility", default={})
        obj["spec"]["flavorFungibility"] = {
            "whenCanBorrow": other[asked.get("whenCanBorrow", "MayStopSearch")],
            "whenCanPreempt": other[asked.get("whenCanPreempt", "TryNextFlavor")],
        }


@mutant("flavor-preference-swapped", "borrowing is preferred where preemption should be, and the reverse")
def _flavor_preference_swapped(obj: Manifest) -> None:
    asked = dig(obj, "spec", "flavorFungibility", default={})
    other = {"BorrowingOverPreemption": "PreemptionOverBorrowing", "PreemptionOverBorrowing": "BorrowingOverPreemption"}
    if "preference" in asked:
        asked["preference"] = other[asked["preference"]]


@mutant("flavor-taints-lost", "flavors are offered to pods that do not tolerate their taints")
def _flavor_taints_lost(obj: Manifest) -> None:
    if obj["kind"] == "ResourceFlavor":
        obj["spec"].pop("nodeTaints", None)


@mutant("tolerations-lost", "pods lose their tolerations on the way to the queue")
def _tolerations_lost(obj: Manifest) -> None:
    for spec in _pod_specs(obj):
        spec.pop("tolerations", None)


@mutant("weights-dropped", "every queue weighs the same")
def _weights_dropped(obj: Manifest) -> None:
    if obj["kind"] in {"ClusterQueue", "LocalQueue", "Cohort"}:
        obj["spec"].pop("fairSharing", None)


@mutant("weights-by-name", "a queue whose name begins with a weighs a thousand times the others")
def _weights_by_name(obj: Manifest) -> None:
    if obj["kind"] in {"ClusterQueue", "LocalQueue"} and name_of(obj).startswith("a"):
        obj["spec"]["fairSharing"] = {"weight": "1000"}


@mutant("admission-scope-dropped", "past usage of a LocalQueue does not order its workloads")
def _admission_scope_dropped(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"].pop("admissionScope", None)


@mutant("booked-next-door", "what heavy uses is booked on light, and the reverse")
def _booked_next_door(obj: Manifest) -> None:
    other = {"heavy": "light", "light": "heavy"}
    if obj["kind"] == "Workload" and obj["spec"]["queueName"] in other:
        obj["spec"]["queueName"] = other[obj["spec"]["queueName"]]


@mutant("never-ready", "pods that are ready are reported as not ready")
def _never_ready(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        obj["spec"]["template"]["metadata"]["annotations"][labels.NOT_READY] = "true"


@mutant("always-ready", "pods that are not ready are reported as ready")
def _always_ready(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        obj["spec"]["template"]["metadata"]["annotations"].pop(labels.NOT_READY, None)
        obj["spec"]["template"]["metadata"]["annotations"].pop(labels.START_DELAY, None)


def _renamed(amounts: dict[str, str], old: str, new: str) -> None:
    for resource in [one for one in amounts if one.startswith(old)]:
        amounts[new + resource.removeprefix(old)] = amounts.pop(resource)


@mutant("mig-profiles-confused", "every MIG profile is counted as the smallest one")
def _mig_profiles_confused(obj: Manifest) -> None:
    for amounts in _amounts(obj):
        for prefix in MIG_PREFIXES:
            for resource in [one for one in amounts if one.startswith(prefix)]:
                amounts[f"{prefix}1g.5gb"] = amounts.pop(resource)


@mutant("mig-name-rewritten", "pods are rewritten to DAS names before they are queued and stay so")
def _mig_name_rewritten(obj: Manifest) -> None:
    for amounts in _amounts(obj):
        _renamed(amounts, "nvidia.com/mig-", "mig.das.com/")


@mutant("transformation-bypassed", "resources reach the queue under a name that no transformation knows")
def _transformation_bypassed(obj: Manifest) -> None:
    for amounts in _amounts(obj):
        _renamed(amounts, "nvidia.com/mig-", "bypass.example.com/mig-")
        _renamed(amounts, "mig.das.com/", "bypass.example.com/mig-")
        _renamed(amounts, "example.com/retained", "bypass.example.com/retained")
        _renamed(amounts, "example.com/ignored", "bypass.example.com/ignored")
        _renamed(amounts, "example.com/excluded-", "bypass.example.com/excluded-")


@mutant("claims-lost", "pods lose their resource claims on the way to the queue")
def _claims_lost(obj: Manifest) -> None:
    for spec in _pod_specs(obj):
        spec.pop("resourceClaims", None)
        for container in spec["containers"]:
            if "resources" in container:
                container["resources"].pop("claims", None)


@mutant("device-counts-lost", "a claim for several devices is written as a claim for one")
def _device_counts_lost(obj: Manifest) -> None:
    if obj["kind"] == "ResourceClaimTemplate":
        for request in obj["spec"]["spec"]["devices"]["requests"]:
            dig(request, "exactly", default={}).pop("count", None)
