"""What a run left on a cluster, and its removal: everything we create carries the run's label."""

from __future__ import annotations

from functools import partial

from gpuassay.cluster.access_review import Right, allowed
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.kinds import kind_of
from gpuassay.cluster.parallel import side_by_side
from gpuassay.labels import COMPONENT, RUN
from gpuassay.manifest import Manifest
from gpuassay.waiting import WaitTimeout, wait

_STEPS: tuple[tuple[str, ...], ...] = (
    ("JobSet", "LeaderWorkerSet", "Job", "CronJob", "Deployment", "StatefulSet"),
    ("Workload",),
    ("Pod", "ResourceClaim", "ResourceClaimTemplate"),
    ("LocalQueue",),
    ("ClusterQueue",),
    ("Cohort",),
    ("ResourceFlavor", "WorkloadPriorityClass", "AdmissionCheck", "PriorityClass", "RuntimeClass"),
    ("Topology", "DeviceClass", "ResourceSlice"),
    ("LimitRange", "ResourceQuota", "ConfigMap", "Secret", "Service", "ServiceAccount", "Role", "RoleBinding"),
    ("ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "Node"),
    ("Namespace",),
)
"""Kinds in the order of removal: users of quota first, then queues, then what queues refer to."""

Found = tuple[str, str | None, str]
"""Kind, namespace, name."""


def _listed(api: Api, selector: str, kind: str) -> list[Manifest]:
    try:
        return api.list(kind, label_selector=selector)
    except ApiRefused as e:
        if e.status in (403, 404, 405):
            return []  # not served, or not ours to list: `_hidden` tells of those that we may create all the same
        raise


def _hidden(api: Api, kind: str) -> list[str]:
    """A line where objects of a kind may be created and not listed: what there is of them stays unseen."""
    try:
        api.raw(f"{kind_of(kind).path()}?limit=1")
    except ApiRefused as e:
        served = kind_of(kind)
        if e.denied and allowed(api, Right(served.version.rpartition("/")[0], served.plural, "create")):
            return [f"{kind}: whether any is left cannot be seen, this identity may not {e.denied}"]
        if e.status not in (403, 404, 405):
            raise
    return []


def _find(api: Api, run_id: str, kind: str) -> list[Found]:
    objects = _listed(api, f"{RUN}={run_id},!{COMPONENT}", kind)
    return [(kind, o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]


def runs(api: Api) -> dict[str, int]:
    """How many objects each run has on the cluster, by run id."""
    kinds = [kind for step in _STEPS for kind in step]
    found = [
        o["metadata"]["labels"][RUN]
        for some in side_by_side(partial(_listed, api, f"{RUN},!{COMPONENT}"), kinds)
        for o in some
    ]
    return {run_id: found.count(run_id) for run_id in sorted(set(found))}


def _find_all(api: Api, run_id: str) -> list[Found]:
    kinds = [kind for step in _STEPS for kind in step]
    return [found for some in side_by_side(partial(_find, api, run_id), kinds) for found in some]


def leftovers(api: Api, run_id: str) -> list[str]:
    """Objects that carry the run's label, as `Kind namespace/name`."""
    return [_text(found) for found in _find_all(api, run_id)]


def _text(found: Found) -> str:
    kind, namespace, name = found
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _delete(api: Api, found: Found) -> str:
    """Delete an object; the right to do so that we lack, or ""."""
    kind, namespace, name = found
    try:
        api.delete(kind, name, namespace, grace_seconds=0 if kind == "Pod" else None)
    except ApiRefused as e:
        if not e.denied:
            raise
        return e.denied
    return ""


def sweep(api: Api, run_id: str, timeout: float = 60) -> list[str]:
    """Remove everything that carries the run's label; returns what is still there after `timeout` seconds.

    Every step is waited for before the next: a queue that goes before its Workloads leaves them without a controller.
    """
    denied: dict[str, None] = {}
    for step in _STEPS:
        mine = [found for some in side_by_side(partial(_find, api, run_id), step) for found in some]
        answers = dict(zip(mine, side_by_side(partial(_delete, api), mine), strict=True))
        denied |= {one: None for one in answers.values() if one}
        # what may not be deleted goes with its namespace, or stays and is told
        going = tuple({kind: None for (kind, _, _), right in answers.items() if not right})
        if going and not _gone(api, run_id, going, timeout):
            break
    refused = [f"this identity may not {one}" for one in denied]
    kinds = [kind for step in _STEPS for kind in step]
    hidden = [line for lines in side_by_side(partial(_hidden, api), kinds) for line in lines]
    left = leftovers(api, run_id)
    return [*left, *(refused if left else []), *hidden]


def _gone(api: Api, run_id: str, kinds: tuple[str, ...], timeout: float) -> bool:
    def look() -> list[str]:
        return [_text(found) for kind in kinds for found in _find(api, run_id, kind)]

    try:
        wait(look, lambda left: not left, what="what the run created to be gone", timeout=timeout, delay=0.1)
    except WaitTimeout:
        return False  # the caller lists what is left
    return True
