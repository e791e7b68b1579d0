"""Admission checks with the scenario in the check controller's part: it says what is ready, when and how."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.workloads import ATTEMPTS
from gpuassay.systems.kueue.objects import queues as kueue


def check(lab: KueueLab, base: str, *, active: bool = True) -> str:
    """Create an AdmissionCheck whose controller reports it active (or reports nothing); returns its name."""
    name = lab.unique(base)
    lab.create(kueue.admission_check(name))
    if active:
        report(lab, name, active=True)
    return name


def report(lab: KueueLab, name: str, *, active: bool) -> None:
    """Say as the check's controller whether it can be used."""
    condition: Manifest = {
        "type": "Active",
        "status": str(active),
        "reason": "Played",
        "message": "as the scenario wants it",
        "lastTransitionTime": _now(),
    }
    lab.patch("AdmissionCheck", name, {"status": {"conditions": [condition]}}, subresource="status")


def answer(lab: KueueLab, owner: str, name: str, state: str, *, updates: Sequence[Manifest] = ()) -> None:
    """Set check `name` of the Workload of `owner` to `state`; the others stay as they are.

    Args:
        lab: the scenario's lab.
        owner: the job, or the Workload itself.
        name: of the check.
        state: Pending, Ready, Retry or Rejected.
        updates: `podSetUpdates`.

    Raises:
        LookupError: there is no such Workload.
    """
    found = lab.workload_of(owner)
    if found is None:
        raise LookupError(f"no Workload of {owner} in {lab.namespace}")
    mine: Manifest = {"name": name, "state": state, "message": f"played: {state}", "lastTransitionTime": _now()}
    if updates:
        mine["podSetUpdates"] = list(updates)

    for attempt in range(ATTEMPTS):
        now = lab.api.get("Workload", name_of(found), lab.namespace) or found
        others = [one for one in dig(now, "status", "admissionChecks", default=[]) if one["name"] != name]
        version = {"resourceVersion": now["metadata"]["resourceVersion"]}  # refused where another was faster
        body: Manifest = {"metadata": version, "status": {"admissionChecks": [*others, mine]}}
        try:
            lab.patch("Workload", name_of(found), body, subresource="status")
        except ApiRefused as refused:
            if refused.status != 409 or attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def states(lab: KueueLab, owner: str) -> dict[str, str]:
    """States of the checks of `owner`'s Workload by check."""
    found = lab.workload_of(owner)
    return {one["name"]: one["state"] for one in dig(found, "status", "admissionChecks", default=[])}


def observe_asked(lab: KueueLab, owner: str, *checks: str) -> bool:
    """Give Kueue time to reserve quota for `owner` and to list `checks` as Pending."""

    def asked() -> bool:
        told = states(lab, owner)
        return lab.has("QuotaReserved", owner) and all(told.get(name) == "Pending" for name in checks)

    return lab.observe(asked, f"{owner} has quota and waits for checks")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
