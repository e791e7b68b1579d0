"""Invariants of Kueue that hold on every event of every recording, whatever the scenario.

Limits come from the objects as they were asked for, not from what the server stored: a system that loses a limit on
the way is seen to break it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from gpuassay import labels
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge import announced, charges, edits, idle, known, ledger, recount, restarted, series
from gpuassay.systems.kueue.judge.rest import Usage, usage_of
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording

UNSUSPEND_LAG_NS = 3_000_000_000
"""A Job may be seen running this long before its Workload is seen admitted: two watch streams, one busy machine."""

HARMLESS_ERRORS = (
    r"localQueue doesn't exist or inactive",
    r"already exists",
    r"is invalid: spec\.template",  # template restored before the job controller has finished suspending; retried
    r"context canceled",
    r"the object has been modified",
    r"Precondition failed: UID in precondition",  # deleted and made anew under its name meanwhile; retried
    r"not found",  # objects deleted by the scenario while a reconcile was under way
    r"http: TLS handshake error",
    r"No matching API in the server",
    r"no matches for kind",
    r"no endpoints available for service",  # its own webhook in a pod that leads before it is ready; retried
    r"connection refused",  # the API server is stopped before Kueue in scenarios that stop it
    r"namespace \S+ because it is being terminated",
)
"""Error lines that Kueue logs on healthy systems and recovers from."""

_LATE = re.compile(r"deadline exceeded|timeout|timed out|leader election lost|lease", re.IGNORECASE)
"""Errors that say that somebody answered too late."""


def findings(recording: KueueRecording) -> list[str]:
    """Every broken invariant, as one sentence each; empty for a healthy recording."""
    return [*untimed(recording), *timed(recording)]


def untimed(recording: KueueRecording) -> list[str]:
    """Broken invariants that no delay explains."""
    return [
        *_quota(recording),
        *_admitted_means_reserved(recording),
        *known.news(charges.findings(recording)),
        *ledger.charge_findings(recording),
        *(line for line in _errors(recording) if not _LATE.search(line)),
    ]


def timed(recording: KueueRecording) -> list[str]:
    """Broken invariants that a sound system shows as well where it gets no CPU: something was expected by a time."""
    found = [
        *_running_means_admitted(recording),
        *ledger.findings(recording),
        *announced.findings(recording),
        *idle.findings(recording),
        *known.news(restarted.findings(recording)),
        *known.news([*recount.findings(recording), *series.findings(recording)]),
        *(line for line in _errors(recording) if _LATE.search(line)),
    ]
    return edits.news(recording, found) if recording.note(notes.EDITED_IN_USE) else found


def _quota_entries(queue: Manifest) -> Iterator[tuple[str, Manifest]]:
    for group in dig(queue, "spec", "resourceGroups", default=[]):
        for flavor in group["flavors"]:
            for resource in flavor["resources"]:
                yield flavor["name"], resource


def _quota(recording: KueueRecording) -> list[str]:
    """No ClusterQueue ever holds more than nominal quota plus borrowing limit; no cohort more than its sum."""
    queues = {name_of(obj): obj for obj in recording.asked if obj["kind"] == "ClusterQueue"}
    cohorts = {name_of(obj) for obj in recording.asked if obj["kind"] == "Cohort"}
    changed = recording.note(notes.QUOTA_CHANGED)
    limits: dict[tuple[str, str, str], Fraction] = {}
    pools: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
    cohort_of: dict[str, str] = {}
    for name, queue in queues.items():
        cohort = dig(queue, "spec", "cohortName")
        cohort_of[name] = str(cohort or "")
        for flavor, resource in _quota_entries(queue):
            nominal = Fraction(parse_quantity(resource["nominalQuota"]))
            pools[cohort_of[name], flavor, resource["name"]] += nominal
            if cohort is None:
                limits[name, flavor, resource["name"]] = nominal
            elif resource.get("borrowingLimit") is not None:
                limits[name, flavor, resource["name"]] = nominal + Fraction(parse_quantity(resource["borrowingLimit"]))
    found: list[str] = []
    held: dict[str, Usage] = {}
    for event in recording.of("Workload"):
        held[event.uid] = {} if event.type == "DELETED" else usage_of(event.object)
        total: Usage = defaultdict(Fraction)
        pooled: Usage = defaultdict(Fraction)
        for usage in held.values():
            for (queue, flavor, resource), amount in usage.items():
                total[queue, flavor, resource] += amount
                pooled[cohort_of.get(queue, ""), flavor, resource] += amount
        for key, amount in total.items():
            if key in limits and key[0] not in changed and amount > limits[key]:
                found.append(f"quota exceeded: {key[0]} holds {float(amount):g} {key[2]} of flavor {key[1]}, limit "
                             f"{float(limits[key]):g}, at {event.namespace}/{event.name}")  # fmt: skip
        for key, amount in pooled.items():
            simple = key[0] and key[0] not in cohorts and not changed
            if simple and key in pools and amount > pools[key]:
                found.append(
                    f"cohort {key[0]} holds {float(amount):g} {key[2]} of flavor {key[1]}, has {float(pools[key]):g}"
                )
    return list(dict.fromkeys(found))


def _admitted_means_reserved(recording: KueueRecording) -> list[str]:
    found: list[str] = []
    for event in recording.of("Workload"):
        workload = event.object
        if event.type == "DELETED" or not is_true(workload, "Admitted"):
            continue
        if not is_true(workload, "QuotaReserved"):
            found.append(f"Workload {event.name} is Admitted without QuotaReserved")
        checks = dig(workload, "status", "admissionChecks", default=[])
        unready = [check["name"] for check in checks if check.get("state") in {"Pending", None}]
        # An eviction resets the checks at once; Admitted goes when the pods have gone.
        if unready and not is_true(workload, "Evicted"):
            found.append(f"Workload {event.name} is Admitted although checks are not ready: {', '.join(unready)}")
    return list(dict.fromkeys(found))


def _running_means_admitted(recording: KueueRecording) -> list[str]:
    """A queued Job runs only once its Workload is admitted, and at rest an admitted one is not suspended."""
    found: list[str] = []
    for name, job in recording.timelines("Job").items():
        if labels.QUEUE_NAME not in dig(job.final, "metadata", "labels", default={}):
            continue
        if any(ref.get("controller") for ref in dig(job.final, "metadata", "ownerReferences", default=[])):
            continue  # its Workload belongs to its parent
        workload = _workload_of(recording, name)
        started = job.when(lambda obj: dig(obj, "spec", "suspend", default=False) is False)
        admitted = workload.when(lambda obj: is_true(obj, "Admitted")) if workload else None
        if started is not None and (admitted is None or admitted > started + UNSUSPEND_LAG_NS):
            found.append(f"Job {name} was unsuspended without its Workload being admitted")
        if workload and not workload.deleted and not job.deleted and recording.at_rest:
            runs = dig(job.final, "spec", "suspend", default=False) is False
            ended = (
                is_true(workload.final, "Finished") or is_true(job.final, "Complete") or is_true(job.final, "Failed")
            )
            if is_true(workload.final, "Admitted") and not runs and not ended:
                found.append(f"Job {name} is still suspended at rest although its Workload is admitted")
            if runs and not is_true(workload.final, "Admitted") and not ended:
                found.append(f"Job {name} still runs at rest although its Workload is not admitted")
    return found


def _workload_of(recording: KueueRecording, job: str) -> Timeline | None:
    try:
        return recording.workload_of(job)
    except LookupError:
        return None


def _errors(recording: KueueRecording) -> list[str]:
    harmless = re.compile("|".join([*HARMLESS_ERRORS, *recording.note(notes.EXPECTED_ERRORS)]))
    found = [
        f"Kueue logged an error: {line.get('msg', '')}: {str(line.get('error', ''))[:200]}"
        for line in recording.kueue_log
        if line.get("level") == "error" and not harmless.search(f"{line.get('msg', '')} {line.get('error', '')}")
    ]
    return list(dict.fromkeys(found))
