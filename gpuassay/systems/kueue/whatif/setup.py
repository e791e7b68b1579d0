"""A user's queues from YAML or a live cluster: what is created for a play, and what of it the twin can model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.model.quota import Quota, QuotaTree, parse_quantity
from gpuassay.systems.kueue.whatif.errors import WhatIfError
from gpuassay.systems.kueue.whatif.jobs import Job

GROUP = "kueue.x-k8s.io/"
VERSION = f"{GROUP}v1beta2"
KINDS = ("ResourceFlavor", "Cohort", "ClusterQueue", "LocalQueue", "WorkloadPriorityClass")
"""What is created, in this order."""
NAMESPACE = "whatif"
"""Where LocalQueues stand that we make for jobs whose file names a ClusterQueue."""
GPU = "nvidia.com/gpu"
NUMBERS = 2**31
"""Priorities are 32-bit integers."""


@dataclass(frozen=True)
class Place:
    """Where a job is handed in."""

    namespace: str
    local_queue: str
    cluster_queue: str


@dataclass
class Setup:
    """One configuration.

    Attributes:
        label: for tables: the file's name, or the cluster's.
        objects: what is created, without the LocalQueues that we add.
        resource: what the jobs' GPUs are counted in.
        left_out: what of the user's objects is played differently, a sentence each.
    """

    label: str
    objects: list[Manifest]
    resource: str
    left_out: list[str] = field(default_factory=list[str])

    def of_kind(self, kind: str) -> dict[str, Manifest]:
        """Objects by name; LocalQueues by NAMESPACE/NAME."""
        return {_key(one): one for one in self.objects if one["kind"] == kind}

    def place(self, job: Job, path: Path | str) -> Place:
        """Where the job goes: a LocalQueue by name, or a ClusterQueue.

        Raises:
            WhatIfError: there is no such queue, or more than one.
        """
        local = self.of_kind("LocalQueue")
        found = [key for key in local if job.queue in (key, key.partition("/")[2])]
        if len(found) > 1:
            raise WhatIfError(
                f"{path} line {job.line}, column queue: {job.queue!r} is the name of {len(found)} LocalQueues; "
                f"write {found[0]} or {found[1]}"
            )
        if found:
            namespace, _, name = found[0].partition("/")
            return Place(namespace, name, str(local[found[0]]["spec"]["clusterQueue"]))
        if job.queue in self.of_kind("ClusterQueue"):
            return Place(NAMESPACE, job.queue, job.queue)
        known = sorted([*local, *self.of_kind("ClusterQueue")])
        raise WhatIfError(
            f"{path} line {job.line}, column queue: {self.label} has no queue {job.queue!r}; "
            f"there are {', '.join(known[:6])}{' ..' if len(known) > 6 else ''}"
        )

    def priority(self, job: Job, path: Path | str) -> int:
        """The job's priority as a number.

        Raises:
            WhatIfError: it is neither a number nor a WorkloadPriorityClass.
        """
        classes = self.of_kind("WorkloadPriorityClass")
        if job.priority in classes:
            return int(classes[job.priority]["value"])
        try:
            value = int(job.priority)
        except ValueError:
            value = NUMBERS
        if not -NUMBERS <= value < NUMBERS:
            raise WhatIfError(
                f"{path} line {job.line}, column priority: {job.priority[:40]!r} is neither a 32-bit number nor a "
                f"WorkloadPriorityClass of {self.label}"
            )
        return value

    def quotas(self, queue: str) -> list[tuple[str, Quota]]:
        """(flavor, quota) of the resource in a ClusterQueue, in the order in which Kueue tries them."""
        return _quotas(self.of_kind("ClusterQueue")[queue], self.resource)

    def capacity(self) -> int:
        """Units of the resource that all ClusterQueues and Cohorts have together."""
        owners = [*self.of_kind("ClusterQueue").values(), *self.of_kind("Cohort").values()]
        return int(sum(quota.nominal for owner in owners for _, quota in _quotas(owner, self.resource)))

    def most(self, queue: str) -> int:
        """What a job of the ClusterQueue can have at most: the best of its flavors, everything else idle."""
        parents = {name: str(cohort) for name, one in self.of_kind("Cohort").items() if (cohort := _parent(one))}
        best = 0
        for flavor, _ in self.quotas(queue):
            quotas = {
                name: dict(_quotas(one, self.resource)).get(flavor, Quota(0))
                for name, one in self.of_kind("ClusterQueue").items()
            }
            cohorts = {
                name: dict(_quotas(one, self.resource)).get(flavor, Quota(0))
                for name, one in self.of_kind("Cohort").items()
            }
            above = {name: cohort for name, one in self.of_kind("ClusterQueue").items() if (cohort := cohort_of(one))}
            tree = QuotaTree(quotas, above, cohorts, parents)
            best = max(best, int(tree.queue(queue).potential()))
        return best


def cohort_of(queue: Manifest) -> str:
    """The cohort of a ClusterQueue in either version of the API, or ""."""
    return str(dig(queue, "spec", "cohortName", default="") or dig(queue, "spec", "cohort", default=""))


def policy_of(queue: Manifest) -> Policy:
    """`spec.preemption` of a ClusterQueue."""
    given: Mapping[str, Any] = dig(queue, "spec", "preemption", default={}) or {}
    borrow: Mapping[str, Any] = given.get("borrowWithinCohort") or {}
    return Policy(
        given.get("withinClusterQueue") or "Never",
        given.get("reclaimWithinCohort") or "Never",
        borrow.get("policy") or "Never",
        borrow.get("maxPriorityThreshold"),
    )


def from_file(path: Path, resource: str | None = None) -> Setup:
    """The queues of a YAML file of one or more documents.

    Raises:
        WhatIfError: it cannot be read, names what is missing, or names something twice.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8-sig")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise WhatIfError(f"{path}{where}: no YAML ({getattr(error, 'problem', None) or 'not UTF-8'})") from None
    except OSError as error:
        raise WhatIfError(f"{path}: {error.strerror}") from None
    flat: list[Any] = []
    for document in documents:
        listed = isinstance(document, dict) and str(dig(document, "kind", default="")).endswith("List")
        flat += _listed(cast("Manifest", document), "items") if listed else [document]
    objects: list[Manifest] = []
    for number, one in enumerate([one for one in flat if one is not None], start=1):
        if not isinstance(one, dict) or not dig(one, "kind") or not isinstance(dig(one, "metadata", "name"), str):
            raise WhatIfError(f"{path}: object {number} has no kind or no metadata.name")
        objects.append(cast("Manifest", one))
    return made(path.name, objects, resource, str(path))


def made(label: str, objects: Iterable[Manifest], resource: str | None, source: str) -> Setup:
    """A setup of objects; what cannot be played is left out of them and told.

    Raises:
        WhatIfError: something is there twice, refers to what is missing, or there is no queue.
    """
    told: list[str] = []
    other: dict[str, int] = {}
    kept: dict[tuple[str, str], Manifest] = {}
    for one in objects:
        kind = str(one["kind"])
        if kind not in KINDS or not str(one.get("apiVersion", "")).startswith(GROUP):
            other[kind] = other.get(kind, 0) + 1
            continue
        if (kind, _key(one)) in kept:
            raise WhatIfError(f"{source}: {kind} {_key(one)} stands there twice; leave one of them out")
        kept[kind, _key(one)] = _playable(one, told)
    setup = Setup(label, sorted(kept.values(), key=lambda one: KINDS.index(one["kind"])), "", told)
    if other:
        told.append(f"not played: {', '.join(f'{count} {kind}' for kind, count in sorted(other.items()))}")
    if not setup.of_kind("ClusterQueue"):
        raise WhatIfError(f"{source} holds no ClusterQueue of {GROUP}: what-if plays ClusterQueues and what they name")
    setup.resource = _resource(setup, resource, source)
    _check(setup, source)
    return setup


def _key(one: Manifest) -> str:
    if one["kind"] != "LocalQueue":
        return name_of(one)
    return f"{dig(one, 'metadata', 'namespace', default='default')}/{name_of(one)}"


def _playable(one: Manifest, told: list[str]) -> Manifest:
    """The object as it is created: no status, and nothing that waits for somebody who is not there."""
    metadata = {"name": name_of(one)} | (
        {"namespace": dig(one, "metadata", "namespace", default="default")} if one["kind"] == "LocalQueue" else {}
    )
    body = {key: copy.deepcopy(value) for key, value in one.items() if key in ("spec", "value", "description")}
    spec: dict[str, Any] = body.get("spec") or {}
    dropped = [
        (field, why)
        for field, why in (
            ("admissionChecks", "nobody answers its admission checks here"),
            ("admissionChecksStrategy", "nobody answers its admission checks here"),
            ("topologyName", "there are no nodes here"),
            ("nodeTaints", "jobs are taken to tolerate its taints"),
        )
        if spec.pop(field, None)
    ]
    told += [f"{one['kind']} {name_of(one)}: {field} left out, {why}" for field, why in dropped]
    if one["kind"] == "ClusterQueue":
        if spec.get("namespaceSelector") not in (None, {}):
            told.append(f"ClusterQueue {name_of(one)}: open to every namespace here, whose labels are not known")
        spec["namespaceSelector"] = {}
    return {"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": metadata, **body}


def _listed(owner: Manifest, *path: str) -> list[Manifest]:
    return list[Manifest](dig(owner, *path, default=[]) or [])


def _groups(owner: Manifest) -> list[Manifest]:
    return _listed(owner, "spec", "resourceGroups")


def _quotas(owner: Manifest, resource: str) -> list[tuple[str, Quota]]:
    def amount(value: Any) -> Any:
        return None if value is None else parse_quantity(value)

    return [
        (str(flavor["name"]), Quota(
            parse_quantity(one["nominalQuota"]), amount(one.get("borrowingLimit")), amount(one.get("lendingLimit"))
        ))
        for group in _groups(owner)
        for flavor in _listed(group, "flavors")
        for one in _listed(flavor, "resources")
        if one.get("name") == resource
    ]  # fmt: skip


def _resource(setup: Setup, wanted: str | None, source: str) -> str:
    covered = {
        str(name)
        for queue in setup.of_kind("ClusterQueue").values()
        for group in _groups(queue)
        for name in list[Any](dig(group, "coveredResources", default=[]) or [])
    }
    if wanted:
        if wanted not in covered:
            raise WhatIfError(f"--resource {wanted}: {source} has quota for {', '.join(sorted(covered)) or 'nothing'}")
        return wanted
    if len(covered) == 1:
        return next(iter(covered))
    if GPU in covered:
        return GPU
    raise WhatIfError(f"{source} has quota for {', '.join(sorted(covered)) or 'nothing'}: say which by --resource")


def _check(setup: Setup, source: str) -> None:
    flavors, queues = setup.of_kind("ResourceFlavor"), setup.of_kind("ClusterQueue")
    for name, queue in queues.items():
        for group in _groups(queue):
            for flavor in _listed(group, "flavors"):
                if flavor.get("name") not in flavors:
                    raise WhatIfError(
                        f"{source}: ClusterQueue {name} names the ResourceFlavor {flavor.get('name')}, which is "
                        "missing; add it"
                    )
        try:
            setup.quotas(name)
        except (ValueError, KeyError, TypeError) as error:
            raise WhatIfError(f"{source}: ClusterQueue {name} has a broken quota: {error}") from None
    for key, one in setup.of_kind("LocalQueue").items():
        target = dig(one, "spec", "clusterQueue")
        if target not in queues:
            raise WhatIfError(f"{source}: LocalQueue {key} names the ClusterQueue {target}, which is missing; add it")


def _parent(cohort: Manifest) -> str:
    return str(dig(cohort, "spec", "parentName", default="") or dig(cohort, "spec", "parent", default=""))


def beyond_twin(setup: Setup, used: Sequence[str]) -> str:
    """Why the twin cannot model the ClusterQueues that jobs use, or "".

    It knows one flavor, flat cohorts without quota of their own, classic preemption.
    """
    queues = setup.of_kind("ClusterQueue")
    names = {cohort_of(one) for one in queues.values()} - {""}
    for name, one in setup.of_kind("Cohort").items():
        if name in names and (_parent(one) or _quotas(one, setup.resource)):
            return f"Cohort {name} has quota or a parent of its own"
    for name in used:
        if len(setup.quotas(name)) != 1:
            return f"ClusterQueue {name} has {len(setup.quotas(name))} flavors with {setup.resource}"
        if dig(queues[name], "spec", "stopPolicy", default="None") not in (None, "None"):
            return f"ClusterQueue {name} is stopped"
    flavors = {cohort_of(queues[name]): {setup.quotas(name)[0][0]} for name in used}
    for name in used:
        flavors[cohort_of(queues[name])].add(setup.quotas(name)[0][0])
    for cohort, found in flavors.items():
        if cohort and len(found) > 1:
            return f"queues of cohort {cohort} have different flavors"
    return ""
