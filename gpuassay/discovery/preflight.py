"""The pre-flight of somebody's cluster: what would make every run on it fail, each with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gpuassay.discovery.reading import Reading
from gpuassay.discovery.stuck import stuck
from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.provision.component import Provided, Renamed
from gpuassay.provision.dead_ends import answering, in_vain

WEBHOOKS = {
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
}
LONGEST = 200
"""Characters of a server's sentence that are shown."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        """As one line."""
        return f"{self.what} -> {self.remedy}"


@dataclass(frozen=True)
class Preflight:
    """What a look at a cluster came to.

    Attributes:
        troubles: what is wrong.
        unknown: what could not be looked at, and why.
    """

    troubles: tuple[Trouble, ...]
    unknown: tuple[str, ...]


def preflight(reading: Reading, components: Iterable[Provided], now: datetime | None = None) -> Preflight:
    """Look for nodes, webhooks and APIs that do not answer, what nobody heeds, and what does not end.

    Args:
        reading: of the cluster.
        components: those that `gpuassay remove --force` can clear away.
        now: the time; by default this machine's.
    """
    known = list(components)
    checks: tuple[Callable[[], Sequence[Trouble]], ...] = (
        lambda: _nodes(reading),
        lambda: _webhooks(reading, known),
        lambda: _apis(reading, known),
        lambda: [one for each in known for one in _unheeded(reading, each.renamed)],
        lambda: [
            Trouble(one.words, mend(known, one.groups, one.way_out, reading))
            for one in stuck(reading, now or datetime.now(UTC))
        ],
    )
    found = tuple(trouble for check in checks for trouble in check())
    return Preflight(found, reading.gaps())


def mend(components: Iterable[Provided], names: Iterable[str], otherwise: str, reading: Reading) -> str:
    """What to do: `gpuassay remove --force` where it mends that, which it does for what nobody runs.

    Args:
        components: those that it can clear away.
        names: namespaces and API groups to which something belongs.
        otherwise: what to do where it does not.
        reading: of the cluster.
    """
    mine = {name for name in names if name}
    for one in components:
        if one.namespace in mine or (one.group and any(f".{name}".endswith(f".{one.group}") for name in mine)):
            pods = reading.all("", "pods")
            if pods is None:
                return f"if {one.title} is gone for good: gpuassay remove --force {one.name}; else mend it"
            if any(pod["metadata"]["namespace"] == one.namespace for pod in pods):
                return f"{one.title} still has pods: see kubectl get pods -n {one.namespace}, and their logs"
            return f"{one.title} is not running: gpuassay remove --force {one.name} clears away what is left of it"
    return otherwise


def _nodes(reading: Reading) -> list[Trouble]:
    found: list[Trouble] = []
    for node in reading.all("", "nodes") or ():
        if is_true(node, "Ready"):
            continue
        name, state = node["metadata"]["name"], condition(node, "Ready") or {}
        why = _short(state.get("message") or state.get("reason") or "its kubelet has never reported")
        remedy = f"see kubectl describe node {name}; delete the Node object if the machine is gone"
        found.append(Trouble(f"node {name} is not ready: {why}", remedy))
    return found


def _webhooks(reading: Reading, components: Sequence[Provided]) -> list[Trouble]:
    slices = reading.all("discovery.k8s.io", "endpointslices")
    if slices is None:
        return []  # said to be unreadable: without them every webhook would look dead
    ready = answering(slices)
    found: list[Trouble] = []
    for plural, kind in WEBHOOKS.items():
        for one in reading.all("admissionregistration.k8s.io", plural) or ():
            name = one["metadata"]["name"]
            for namespace, service in sorted(in_vain(one, ready)):
                nobody = f"Service {namespace}/{service} has no ready endpoint"
                what = f"{kind} {name}: {nobody}; {_harm(one, service)}"
                remedy = f"start what serves it, or, if that is gone for good: kubectl delete {plural} {name}"
                found.append(Trouble(what, mend(components, (namespace,), remedy, reading)))
    return found


def _harm(configuration: Manifest, service: str) -> str:
    """What a webhook without its server does to everybody else."""
    refused: set[str] = set()
    for hook in dig(configuration, "webhooks", default=[]):
        if dig(hook, "clientConfig", "service", "name") != service or hook.get("failurePolicy") == "Ignore":
            continue
        for rule in hook.get("rules") or ():
            refused |= {str(one) for one in rule.get("resources", ())}
    if not refused:
        return "requests are let through, late"
    shown = sorted(refused)[:6]
    return (
        f"every change of {', '.join(shown)}{' and more' if len(refused) > 6 else ''} that it is asked about is refused"
    )


def _apis(reading: Reading, components: Sequence[Provided]) -> list[Trouble]:
    slices = reading.all("discovery.k8s.io", "endpointslices")
    ready = None if slices is None else answering(slices)
    found: list[Trouble] = []
    for one in reading.all("apiregistration.k8s.io", "apiservices") or ():
        if not dig(one, "spec", "service"):
            continue  # served by the API server itself
        name = one["metadata"]["name"]
        dead = sorted(in_vain(one, ready)) if ready is not None else []
        state = condition(one, "Available") or {}
        if state.get("status") != "False" and not dead:
            continue
        nobody = "; ".join(f"Service {namespace}/{service} has no ready endpoint" for namespace, service in dead)
        why = nobody or _short(state.get("message") or state.get("reason") or "no reason given")
        what = f"APIService {name} is not available: {why}; no namespace can be deleted meanwhile"
        remedy = f"start what serves it, or, if that is gone for good: kubectl delete apiservice {name}"
        place = str(dig(one, "spec", "service", "namespace", default=""))
        found.append(Trouble(what, mend(components, (place, str(dig(one, "spec", "group"))), remedy, reading)))
    return found


def _unheeded(reading: Reading, renamed: Iterable[Renamed]) -> list[Trouble]:
    """Objects of a group that is defined beside its successor, which alone is heeded."""
    definitions = reading.all("apiextensions.k8s.io", "customresourcedefinitions") or ()
    names = {str(one["metadata"]["name"]) for one in definitions}
    found: list[Trouble] = []
    for one in renamed:
        older, newer = f"{one.plural}.{one.old}", f"{one.plural}.{one.new}"
        objects = reading.all(one.old, one.plural) if {older, newer} <= names else ()
        if objects:
            more = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
            what = (
                f"{older} is defined beside {newer}, and {one.who} heeds the latter alone: "
                f"{_named(objects[0])}{more} of the former has no effect there ({one.source})"
            )
            found.append(Trouble(what, f"make it anew in {one.new}; then kubectl delete crd {older}"))
    return found


def _named(one: Manifest) -> str:
    meta = one["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _short(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
