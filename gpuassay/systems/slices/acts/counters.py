"""GPUs that are published as counters: the real scheduler gives out their slices, nothing runs on them.

    with counters.published(lab, [gpu_model("a100-40gb")]) as site:
        site.ask("small", "1g.5gb")
        site.observe_settled("full")
        site.finish()

Every scenario has a node and ResourceSlices of its own. At home the node is fake, and KWOK plays the pods. On
somebody's cluster it is one of theirs: no driver of that name is there, so that its kubelet prepares no claim, and the
pods that are bound to it wait until they are deleted.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuassay.capabilities import CLUSTER_WIDE, FAKE_NODES
from gpuassay.cluster.errors import ApiRefused, NotFromOutside
from gpuassay.gpus import GpuModel
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.judge.observed import claimed_devices
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.outside.supply import turn, usable
from gpuassay.workloads import claims as resource_slices

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.base import Emulated
    from gpuassay.scenarios.lab import Lab

NEEDS = frozenset({CLUSTER_WIDE})
"""Capabilities that a scenario of such GPUs needs."""

EMULATED: Emulated = {
    "what": "GPUs published as counters",
    "by": "ResourceSlices that gpuassay writes",
    "means": "the scheduler gives out their places; no kubelet prepares a claim, and nothing is there that could run",
}

_PROBE = "probe"
"""Pod by which it is known that the scheduler has seen the GPUs."""


class PublishedGpus:
    """What a scenario can do with its published GPUs.

    Attributes:
        lab: the scenario's lab.
        node: name of the fake node.
        gpus: its GPUs.
        device_class: name of the class of all their devices.
    """

    def __init__(self, lab: Lab, node: str, gpus: Sequence[GpuModel], device_class: str) -> None:
        """Used by `published`."""
        self.lab, self.node, self.gpus, self.device_class = lab, node, gpus, device_class
        self._devices = judged.devices(resource_slices.published(node, gpus), gpus)
        lab.note(notes.GPUS, [one.name for one in gpus])
        lab.note(notes.WANTED, {})

    def ask(self, name: str, profile: str) -> None:
        """Create a claim of one slice, and a pod that uses it."""
        self.lab.note_under(notes.WANTED, name, profile)
        self.ask_for(name, resource_slices.of_profile(profile))

    def ask_for(self, name: str, expression: str, count: int = 1) -> None:
        """Create a claim of `count` devices that the expression selects, and a pod that uses it."""
        wanted = resource_slices.request("device", self.device_class, expression, count=count)
        self.lab.create(resource_slices.claim(name, self.lab.namespace, [wanted]))
        self.lab.create(resource_slices.pod(name, self.lab.namespace, name, self.node))

    def observe_decided(self, *names: str) -> None:
        """Note whether the scheduler gives each pod a node, or refuses it."""
        self.lab.observe(lambda: all(map(self._decided, names)), f"decided: {', '.join(names)}")

    def _decided(self, name: str) -> bool:
        pod = self.lab.get("Pod", name)
        return pod is not None and judged.decided(pod)

    def observe_settled(self, what: str) -> None:
        """Note whether all pods are decided, and nobody waits for a slice that could stand; mark the moment `what`."""
        self.lab.observe(self._settled, f"settled: {what}")
        self.lab.mark(what)

    def _settled(self) -> bool:
        pods = self.lab.objects("Pod")
        placed = {name_of(one) for one in pods if judged.on_a_node(one)}
        held = {name_of(one): self._places(one) for one in self.lab.objects("ResourceClaim") if claimed_devices(one)}
        waiting = {name_of(one) for one in pods} - placed
        return (
            all(map(judged.decided, pods))
            and placed <= held.keys()
            and not judged.idle(waiting, self.lab.noted(notes.WANTED), held, self.gpus)
        )

    def _places(self, claim: Manifest) -> list[Place]:
        return [self._devices[name] for name in claimed_devices(claim)]

    def delete(self, *names: str) -> None:
        """Delete pods; note whether they go and their claims hold nothing any more."""
        for name in names:
            self.lab.delete("Pod", name)
        self.lab.observe(lambda: slices.gone(self.lab, *names), f"gone: {', '.join(names)}")
        self.lab.observe(lambda: not any(map(self.holds, names)), f"freed: {', '.join(names)}")

    def placed(self) -> list[str]:
        """Pods whose claims hold devices, by name."""
        return sorted(name_of(one) for one in self.lab.objects("ResourceClaim") if claimed_devices(one))

    def holds(self, name: str) -> bool:
        """Whether a pod's claim holds devices."""
        claim = self.lab.get("ResourceClaim", name)
        return claim is not None and bool(claimed_devices(claim))

    def given(self, name: str) -> bool:
        """Whether a pod has its devices and its node; deleted between the two it leaves its claim allocated."""
        return self.given_by(name, name)

    def given_by(self, name: str, claim: str) -> bool:
        """Whether a pod has its node, and its claim, which is called otherwise, its devices."""
        pod = self.lab.get("Pod", name)
        return pod is not None and judged.on_a_node(pod) and self.holds(claim)

    def finish(self) -> None:
        """Delete all pods, those that wait first, and mark the end."""
        pods = sorted(self.lab.objects("Pod"), key=judged.on_a_node)
        self.delete(*map(name_of, pods))
        self.lab.mark("end")


@contextmanager
def published(lab: Lab, gpus: Sequence[GpuModel]) -> Generator[PublishedGpus]:
    """Publish GPUs on a node of their own for the length of a `with` block.

    Args:
        lab: the scenario's lab; needs `NEEDS`.
        gpus: at most eight; the order of a profile's starts is that in which its places are listed.

    Raises:
        NotFromOutside: somebody's cluster has no node for it, or knows no counters of GPUs.
    """
    lab.cluster.tell(emulated=[EMULATED])
    with _node(lab) as node:
        made = [resource_slices.device_class(lab.unique("mig")), *resource_slices.published(node, gpus)]
        site = PublishedGpus(lab, node, gpus, name_of(made[0]))
        try:
            for one in made:
                lab.create(one)
            if lab.mutant is None and not lab.cluster.has(FAKE_NODES):
                _require_counters(lab, made[1:])
            # it is given nothing before the scheduler knows the class and every ResourceSlice of the node
            site.ask(_PROBE, gpus[0].profiles[0].name)
            lab.observe(lambda: site.given(_PROBE), "the scheduler knows the GPUs")
            site.delete(_PROBE)
            yield site
        finally:
            for one in made:
                lab.delete(one["kind"], name_of(one))


@contextmanager
def _node(lab: Lab) -> Generator[str]:
    """A node that no other scenario publishes GPUs on."""
    if lab.cluster.has(FAKE_NODES):
        node = lab.cluster.add_nodes(1, gpus=0, prefix=lab.unique("mig"))[0]
        try:
            yield node
        finally:
            lab.cluster.remove_nodes([node])
        return
    with turn(f"{lab.cluster.name}, counters", lambda: lendable(usable(lab.api)), str) as lent:
        yield lent


def lendable(nodes: Sequence[Manifest]) -> list[str]:
    """Names of the nodes that any pod may use, and that are known by their host name.

    Raises:
        NotFromOutside: there is none.
    """
    found = [
        name_of(one) for one in nodes
        if not dig(one, "spec", "taints", default=[])
        and dig(one, "metadata", "labels", "kubernetes.io/hostname", default="") == name_of(one)
    ]  # fmt: skip
    if not found:
        raise NotFromOutside("GPUs are published on a node that is Ready and without taints, and there is none")
    return found


def _require_counters(lab: Lab, made: Sequence[Manifest]) -> None:
    """Leave the scenario where the API server drops what it does not know: places would be given out twice."""
    try:
        stored = [lab.api.get("ResourceSlice", name_of(one)) or {} for one in made]
    except ApiRefused as refused:
        raise NotFromOutside(f"ResourceSlices have to be read: {refused.message}") from None
    if not keeps_counters(stored):
        raise NotFromOutside("the API server keeps no counters of devices (feature gate DRAPartitionableDevices)")


def keeps_counters(stored: Sequence[Manifest]) -> bool:
    """Whether ResourceSlices as they were stored have counters, and devices that consume some."""
    devices = [one for each in stored for one in _listed(each, "devices")]
    return any(_listed(one, "sharedCounters") for one in stored) and any(one.get("consumesCounters") for one in devices)


def _listed(stored: Manifest, field: str) -> list[Manifest]:
    found: list[Manifest] | None = dig(stored, "spec", field, default=None)
    return found or []
