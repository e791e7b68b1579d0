"""Broken systems for life cycle, quota, partial admission, admission checks and stopping (see `mutants`)."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant, patch_mutant

PREBUILT = "kueue.x-k8s.io/prebuilt-workload-name"
COMPLETIONS_SYNC = "kueue.x-k8s.io/job-completions-equal-parallelism"


def _labels(obj: Manifest) -> Manifest:
    return dig(obj, "metadata", "labels", default={})


def _annotations(obj: Manifest) -> Manifest:
    return dig(obj, "metadata", "annotations", default={})


def _containers(obj: Manifest) -> Iterator[Manifest]:
    """Containers of a Workload's pod sets."""
    if obj["kind"] == "Workload":
        for pods in obj["spec"]["podSets"]:
            yield from pods["template"]["spec"]["containers"]


# --- life cycle ------------------------------------------------------------------------------------------------------


@mutant("admission-off", "ClusterQueues never admit anything")
def _admission_off(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"]["stopPolicy"] = "Hold"


@mutant("flavor-tolerations-lost", "flavors no longer give pods their tolerations")
def _tolerations_lost(obj: Manifest) -> None:
    if obj["kind"] == "ResourceFlavor":
        obj.get("spec", {}).pop("tolerations", None)


@mutant("outcome-swapped", "runs that should succeed fail, and the other way round")
def _outcome_swapped(obj: Manifest) -> None:
    notes = dig(obj, "spec", "template", "metadata", "annotations")
    if obj["kind"] == "Job" and notes is not None:
        notes[labels.EXIT_CODE] = "1" if notes.get(labels.EXIT_CODE, "0") == "0" else "0"


@mutant("run-endless", "nothing ever finishes")
def _run_endless(obj: Manifest) -> None:
    dig(obj, "spec", "template", "metadata", "annotations", default={}).pop(labels.RUN_FOR, None)


@mutant("max-execution-time-lost", "the limit on a job's execution time is lost")
def _max_execution_time_lost(obj: Manifest) -> None:
    _labels(obj).pop(labels.MAX_EXECUTION, None)


@mutant("prebuilt-name-lost", "jobs forget which Workload was made for them")
def _prebuilt_name_lost(obj: Manifest) -> None:
    _labels(obj).pop(PREBUILT, None)


@mutant("resource-groups-lost", "ClusterQueues reach the cluster without resources and flavors")
def _resource_groups_lost(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"]["resourceGroups"] = []


@patch_mutant("queue-move-lost", "a job's new queue name is lost")
def _queue_move_lost(kind: str, body: Manifest) -> None:
    if kind == "Job":
        _labels(body).pop(labels.QUEUE_NAME, None)


@patch_mutant("deactivation-lost", "deactivating a workload has no effect")
def _deactivation_lost(kind: str, body: Manifest) -> None:
    if kind == "Workload" and dig(body, "spec", "active") is False:
        del body["spec"]["active"]


@patch_mutant("reactivation-lost", "a deactivated workload stays so for ever")
def _reactivation_lost(kind: str, body: Manifest) -> None:
    if kind == "Workload" and dig(body, "spec", "active") is True:
        del body["spec"]["active"]


# --- quota -----------------------------------------------------------------------------------------------------------


@mutant("zero-counts-as-one", "a request for zero of a resource counts as one")
def _zero_counts_as_one(obj: Manifest) -> None:
    for container in _containers(obj):
        requests = dig(container, "resources", "requests", default={})
        requests |= {name: "1" for name, amount in requests.items() if str(amount) == "0"}


@mutant("requests-outside-gpu-lost", "requests for anything but GPUs are lost")
def _requests_outside_gpu_lost(obj: Manifest) -> None:
    for container in _containers(obj):
        requests = dig(container, "resources", "requests", default={})
        for name in [name for name in requests if name != labels.GPU]:
            del requests[name]


@mutant("limits-lost", "a pod's limits are lost")
def _limits_lost(obj: Manifest) -> None:
    for container in _containers(obj):
        dig(container, "resources", default={}).pop("limits", None)


@mutant("limit-range-emptied", "LimitRanges neither give defaults nor refuse anything")
def _limit_range_emptied(obj: Manifest) -> None:
    if obj["kind"] == "LimitRange":
        obj["spec"]["limits"] = [{"type": "Container"}]


@patch_mutant("quota-change-lost", "a new quota never reaches its ClusterQueue")
def _quota_change_lost(kind: str, body: Manifest) -> None:
    if kind == "ClusterQueue":
        dig(body, "spec", default={}).pop("resourceGroups", None)


# --- partial admission -----------------------------------------------------------------------------------------------


@mutant("min-parallelism-lost", "jobs and workloads forget that fewer pods would do")
def _min_parallelism_lost(obj: Manifest) -> None:
    _annotations(obj).pop(labels.MIN_PARALLELISM, None)
    if obj["kind"] == "Workload":
        for pods in obj["spec"]["podSets"]:
            pods.pop("minCount", None)


@mutant("min-parallelism-one", "any number of pods will do")
def _min_parallelism_one(obj: Manifest) -> None:
    if obj["kind"] == "Workload":
        for pods in obj["spec"]["podSets"]:
            pods["minCount"] = 1
    elif obj["kind"] == "Job":
        obj["metadata"].setdefault("annotations", {})[labels.MIN_PARALLELISM] = "1"


@mutant("completions-sync-lost", "completions no longer follow a lowered parallelism")
def _completions_sync_lost(obj: Manifest) -> None:
    _annotations(obj).pop(COMPLETIONS_SYNC, None)


# --- admission checks ------------------------------------------------------------------------------------------------


@mutant("checks-dropped", "ClusterQueues forget their admission checks")
def _checks_dropped(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"].pop("admissionChecksStrategy", None)


def _rewrite_checks(body: Manifest, state: str, to: str) -> None:
    for check in dig(body, "status", "admissionChecks", default=[]):
        if check["state"] == state:
            check["state"] = to


@patch_mutant("check-ready-lost", "a check's Ready is lost")
def _check_ready_lost(_: str, body: Manifest) -> None:
    _rewrite_checks(body, "Ready", "Pending")


@patch_mutant("check-retry-lost", "a check's Retry is lost")
def _check_retry_lost(_: str, body: Manifest) -> None:
    _rewrite_checks(body, "Retry", "Pending")


@patch_mutant("check-rejection-lost", "a check's Rejected counts as Ready")
def _check_rejection_lost(_: str, body: Manifest) -> None:
    _rewrite_checks(body, "Rejected", "Ready")


@patch_mutant("pod-set-updates-lost", "what a check wants to see in the pods is lost")
def _pod_set_updates_lost(_: str, body: Manifest) -> None:
    for check in dig(body, "status", "admissionChecks", default=[]):
        check.pop("podSetUpdates", None)


# --- stopping --------------------------------------------------------------------------------------------------------


def _rewrite_stop(kind: str, body: Manifest, policy: str, to: str) -> None:
    if kind in {"ClusterQueue", "LocalQueue"} and dig(body, "spec", "stopPolicy") == policy:
        body["spec"]["stopPolicy"] = to


@patch_mutant("stop-lost", "stopping a queue has no effect")
def _stop_lost(kind: str, body: Manifest) -> None:
    _rewrite_stop(kind, body, "Hold", "None")
    _rewrite_stop(kind, body, "HoldAndDrain", "None")


@patch_mutant("hold-to-drain", "holding a queue drains it")
def _hold_to_drain(kind: str, body: Manifest) -> None:
    _rewrite_stop(kind, body, "Hold", "HoldAndDrain")


@patch_mutant("drain-to-hold", "draining a queue only holds it")
def _drain_to_hold(kind: str, body: Manifest) -> None:
    _rewrite_stop(kind, body, "HoldAndDrain", "Hold")


@patch_mutant("resume-lost", "a stopped queue stays so for ever")
def _resume_lost(kind: str, body: Manifest) -> None:
    if kind in {"ClusterQueue", "LocalQueue"} and dig(body, "spec", "stopPolicy") == "None":
        del body["spec"]["stopPolicy"]
