"""What a pod costs in quota, computed from first principles: from its spec and how Kueue is configured to count.

Sources: Kubernetes, "Resource sharing within containers" of init and sidecar containers
(https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/), "Pod overhead", "Pod-level resources" and
"LimitRange"; Kueue's configuration API v1beta2, `resources` (transformations, excludeResourcePrefixes,
deviceClassMappings). A request that is not written down is the limit, before any LimitRange is asked: that is how the
API server stores the pod.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.kueue.model.quota import parse_quantity

Amounts = dict[str, Fraction]
"""Amounts by resource, in base units."""

_POD_LEVEL = ("cpu", "memory", "hugepages-")
"""Resources that `spec.resources` of a pod may name (KEP-2837)."""


@dataclass(frozen=True)
class Counting:
    """How Kueue is configured to count: `resources` of its configuration, and what the namespace adds to pods.

    Attributes:
        transformations: `input`, `strategy`, `outputs`, `multiplyBy`, one entry per input.
        excluded: prefixes of resources that do not count.
        claims: logical resource of each DeviceClass that is counted by devices.
        unknown_claims: logical resources whose amount the model does not know (counted from device counters).
        limit_ranges: LimitRange objects of the pod's namespace.
        overheads: `overhead.podFixed` of each RuntimeClass.
        templates: spec of each ResourceClaimTemplate of the namespace, by name.
    """

    transformations: Sequence[Manifest] = ()
    excluded: Sequence[str] = ()
    claims: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown_claims: frozenset[str] = frozenset()
    limit_ranges: Sequence[Manifest] = ()
    overheads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    templates: Mapping[str, Manifest] = field(default_factory=dict[str, Manifest])


def amounts(entries: Mapping[str, Any] | None) -> Amounts:
    """A resource list as exact amounts; ValueError if a quantity is none."""
    return {name: Fraction(parse_quantity(str(value))) for name, value in (entries or {}).items()}


def requests_of(container: Manifest, defaults: tuple[Amounts, Amounts] = ({}, {})) -> Amounts:
    """What one container, or a pod as a whole, asks for: requests, else limits, else the LimitRange's defaults.

    `defaults`: of requests and of limits.
    """
    resources = dig(container, "resources", default={})
    own_limits, own = amounts(resources.get("limits")), amounts(resources.get("requests"))
    of_requests, of_limits = defaults
    return {**of_limits, **of_requests, **own_limits, **own}


def pod_requests(pod: Manifest, counting: Counting) -> Amounts:
    """What a pod asks of the scheduler, less what no LimitRange or RuntimeClass says; `pod` is a pod spec."""
    defaults = container_defaults(counting.limit_ranges)
    running: Amounts = defaultdict(Fraction)
    for container in _list(pod, "containers"):
        _add(running, requests_of(container, defaults))
    sidecars: Amounts = defaultdict(Fraction)
    peak: Amounts = defaultdict(Fraction)
    for container in _list(pod, "initContainers"):
        asked = requests_of(container, defaults)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            asked = {}
        for name in {*asked, *sidecars}:
            peak[name] = max(peak[name], sidecars.get(name, Fraction()) + asked.get(name, Fraction()))
    _add(running, sidecars)
    total = {name: max(running.get(name, Fraction()), peak.get(name, Fraction())) for name in {*running, *peak}}
    for level, written in (("limits", False), ("requests", True)):
        for name, amount in amounts(dig(pod, "resources", level)).items():
            if name.startswith(_POD_LEVEL) and (written or name not in total):
                total[name] = amount
    overhead = pod.get("overhead") or counting.overheads.get(str(pod.get("runtimeClassName") or ""), {})
    _add(total, amounts(overhead))
    return total


def container_defaults(limit_ranges: Iterable[Manifest]) -> tuple[Amounts, Amounts]:
    """Default requests and limits of containers; the maximum for a limit; for a request the limit, or the minimum.

    Where several LimitRanges give a default for a resource, the first counts.
    """
    of_requests: Amounts = {}
    of_limits: Amounts = {}
    for entry in (one for obj in limit_ranges for one in dig(obj, "spec", "limits", default=[])):
        if entry.get("type") != "Container":
            continue
        limits = amounts(entry.get("max")) | amounts(entry.get("default"))
        asked = amounts(entry.get("min")) | limits | amounts(entry.get("defaultRequest"))
        of_limits = limits | of_limits
        of_requests = asked | of_requests
    return of_requests, of_limits


def claimed(pod: Manifest, counting: Counting) -> tuple[Amounts, set[str]]:
    """Logical resources that the pod's claims cost, and those whose amount the model does not know."""
    found: Amounts = defaultdict(Fraction)
    unknown: set[str] = set()
    if pod.get("resourceClaims"):
        unknown |= counting.unknown_claims
    for claim in _list(pod, "resourceClaims"):
        template = counting.templates.get(str(claim.get("resourceClaimTemplateName") or ""))
        if template is None:
            unknown |= set(counting.claims.values())
            continue
        for request in dig(template, "devices", "requests", default=[]):
            exactly: Manifest | None = request.get("exactly")
            if exactly is None or exactly.get("allocationMode") == "All" or exactly.get("adminAccess"):
                unknown |= set(counting.claims.values())
            elif name := counting.claims.get(str(exactly.get("deviceClassName"))):
                found[name] += int(exactly.get("count") or 1)
    return found, unknown


def charge(pod: Manifest, counting: Counting) -> tuple[Amounts, set[str]]:
    """Quota that one pod of spec `pod` costs, by resource, and the resources that the model cannot tell.

    Whole units, for CPU whole milli-CPU, rounded up; never below zero. Zero amounts are left out.
    """
    asked = pod_requests(pod, counting)
    asked = {name: amount for name, amount in asked.items() if not name.startswith(tuple(counting.excluded) or "\n")}
    total: Amounts = defaultdict(Fraction)
    made: Amounts = defaultdict(Fraction)
    rules = {str(one["input"]): one for one in counting.transformations}
    for name, amount in asked.items():
        rule = rules.get(name)
        if rule is None or rule.get("strategy", "Retain") == "Retain":
            total[name] += amount
        if rule is not None:
            factor = asked.get(str(rule.get("multiplyBy") or ""), Fraction(1))
            for output, each in amounts(rule.get("outputs")).items():
                made[output] += amount * factor * each
    _add(total, {name: max(amount, Fraction()) for name, amount in made.items()})
    from_claims, unknown = claimed(pod, counting)
    _add(total, from_claims)
    whole = {name: _rounded(name, amount) for name, amount in total.items()}
    return {name: amount for name, amount in whole.items() if amount > 0 and name not in unknown}, unknown


def replaced(pod: Manifest, counting: Counting) -> Amounts:
    """What one pod asks for of resources that are replaced by others when they are counted."""
    gone = {str(one["input"]) for one in counting.transformations if one.get("strategy", "Retain") == "Replace"}
    return {name: _rounded(name, amount) for name, amount in pod_requests(pod, counting).items() if name in gone}


def _rounded(name: str, amount: Fraction) -> Fraction:
    return Fraction(math.ceil(amount * 1000), 1000) if name == "cpu" else Fraction(math.ceil(amount))


def _list(pod: Manifest, field: str) -> list[Manifest]:
    return dig(pod, field, default=[])


def _add(total: Amounts, more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction()) + amount
