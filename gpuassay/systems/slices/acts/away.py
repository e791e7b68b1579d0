"""Pods that are deleted while the node side is away, each with a successor that waits for its GPU.

    with away.opened(lab, "dra") as site:
        site.fill()
        with site.node.kubelet_frozen():
            site.remove()
            site.ask_successors()
        site.settle()

Every case has a GPU to itself, and asks for a profile that a GPU can hold once: of two pods without a common claim only
one can have it. Pods that are to be deleted are deaf to SIGTERM, so that who comes too early shares a GPU with them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from gpuassay.manifest import dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.pods import WITNESS, SlicerName
from gpuassay.systems.slices.judge import accounts as judged
from gpuassay.workloads import claims as resource_slices
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

GPU, PROFILE = "a100-40gb", "4g.20gb"
DELETED, FORCED, WITH_CLAIM = "deleted", "forced", "forced-with-claim"
SLOW = 3
"""Seconds for which a deleted pod goes on running, unless it is killed."""


class Case(NamedTuple):
    """How a pod is deleted, and whether another pod uses its claim too."""

    deletion: str
    shared: bool = False

    @property
    def name(self) -> str:
        """Of its pod and its claim."""
        return f"{self.deletion}-{'shared' if self.shared else 'own'}"

    @property
    def partner(self) -> str:
        """Of the pod that shares its claim, and is not deleted."""
        return f"{self.name}-partner"

    @property
    def successor(self) -> str:
        """Of the pod that waits for its GPU."""
        return f"after-{self.name}"


WITHOUT_CLAIMS = (Case(DELETED), Case(FORCED))
CASES = tuple(Case(deletion, shared) for shared in (False, True) for deletion in (DELETED, FORCED, WITH_CLAIM))


def cases_of(slicer: str) -> tuple[Case, ...]:
    """The cases that a slicer can have: the device plugin knows no claims."""
    return WITHOUT_CLAIMS if slicer == "device-plugin" else CASES


class Away:
    """What is done with the pods of all cases.

    Attributes:
        node: the sliced node.
        cases: those of its slicer.
    """

    def __init__(self, node: slicing.SlicedNode) -> None:
        """Used by `opened`."""
        self.node, self.lab = node, node.lab
        self.cases = cases_of(node.slicer)
        self.shared = [one for one in self.cases if one.shared]
        self._partners: set[frozenset[str]] = set()
        if node.slicer == "dra":
            for one, gpu in zip(self.cases, node.silicon.gpus, strict=True):
                wish = [_slice_of(gpu)]
                self.lab.create(resource_slices.claim_template(one.name, self.lab.namespace, wish))
                if one.shared:
                    self.lab.create(resource_slices.claim(one.name, self.lab.namespace, wish))

    def fill(self) -> None:
        """Create the pods of all cases."""
        for one in self.cases:
            self._pod(one.name, one, claim=one.name if one.shared else "", slow=True)
            if one.shared:
                self._pod(one.partner, one, claim=one.name)
                uids = (self.lab.api.get("Pod", name, self.lab.namespace) for name in (one.name, one.partner))
                self._partners.add(frozenset(found["metadata"]["uid"] for found in uids if found))

    def observe_filled(self) -> None:
        """Note whether they run, and what they were given; who shares a slice says so by its partner."""
        self.node.observe_running(*(one.name for one in self.cases), *(one.partner for one in self.shared))
        self.node.identify(*(one.name for one in self.cases if not one.shared), *(one.partner for one in self.shared))

    def remove(self) -> None:
        """Delete the pods, but not their partners; note whether those go that are deleted by force."""
        for one in self.cases:
            claim = self._claim_of(one) if one.deletion == WITH_CLAIM else ""
            self.lab.api.delete(
                "Pod", one.name, self.lab.namespace, grace_seconds=None if one.deletion == DELETED else 0
            )
            if claim:
                self.lab.api.delete("ResourceClaim", claim, self.lab.namespace)
        self.observe_gone([one for one in self.cases if one.deletion != DELETED])

    def observe_gone(self, cases: Sequence[Case]) -> None:
        """Note of each case whether its deleted pod goes."""
        for one in cases:
            self.lab.observe(lambda name=one.name: slices.gone(self.lab, name), f"gone: {one.name}")

    def ask_successors(self) -> None:
        """Create the pods that wait for the GPUs; those of them that may be bound at once are given the time for it."""
        for one in self.cases:
            self._pod(one.successor, one)
        early = [one for one in self.cases if one.deletion != DELETED and not one.shared]
        if self.node.slicer == "dra":
            # not noted: whether the scheduler is as early as that is its own affair
            self.lab.observe(
                lambda: all(map(self._bound, early)), "successors of forced deletions are bound", timeout=3
            )

    def settle(self) -> None:
        """Give the successors time to run, those of shared claims once the partners are gone, and take accounts."""
        self.observe_gone([one for one in self.cases if one.deletion == DELETED])
        self._observe_successors([one for one in self.cases if not one.shared])
        self.node.observe_accounts("after")
        self.lab.mark("partners-go")
        self.node.delete(*(one.partner for one in self.shared))
        for one in self.shared:
            self.lab.delete("ResourceClaim", one.name)
        self._observe_successors(self.shared)
        self.node.finish(again=True)

    def _observe_successors(self, cases: Sequence[Case]) -> None:
        for one in cases:
            self.lab.observe(lambda name=one.successor: self._runs(name), f"running: {one.successor}")
        self.node.identify(*(one.successor for one in cases))

    def _runs(self, name: str) -> bool:
        """Whether a pod runs; on the way, slices that two containers have at once are noted."""
        seen = self.node.accounts()
        together = judged.together_findings(seen, self.node.slicer, self._partners)
        if together:
            self.lab.note(notes.TOGETHER, sorted({*self.lab.notes.get(notes.TOGETHER.name, []), *together}))
        return slices.running(self.lab, name)

    def _bound(self, case: Case) -> bool:
        return bool(dig(self.lab.get("Pod", case.successor) or {}, "spec", "nodeName"))

    def _claim_of(self, case: Case) -> str:
        if case.shared:
            return case.name
        statuses = dig(self.lab.get("Pod", case.name) or {}, "status", "resourceClaimStatuses", default=[])
        return next((str(one["resourceClaimName"]) for one in statuses), "")

    def _pod(self, name: str, case: Case, *, claim: str = "", slow: bool = False) -> None:
        steps = ((("deaf",),) if slow else ()) + (*WITNESS, ("wait",))
        options = {"grace": SLOW} if slow else {}
        if self.node.slicer == "device-plugin":
            limits = {self.node.resource(PROFILE): "1"}
            main = containers.container("main", *steps, resources={"limits": limits})
            slices.pod(self.lab, name, node=self.node.node.name, containers=[main], **options)
            return
        main = containers.container("main", *steps, resources=resource_slices.resources())
        use = resource_slices.uses(claim=claim) if claim else resource_slices.uses(template=case.name)
        slices.pod(self.lab, name, node=self.node.node.name, containers=[main], spec=use, **options)


def _slice_of(gpu: str) -> dict[str, object]:
    """A request for the one slice of that profile that the GPU of that UUID can hold."""
    told = "device.attributes['gpu.nvidia.com']"
    wanted = (f"{told}.profile == '{PROFILE}'", f"{told}.parentUUID == '{gpu}'")
    return resource_slices.request("device", "mig.nvidia.com", *wanted)


@contextmanager
def opened(lab: Lab, slicer: SlicerName) -> Generator[Away]:
    """A sliced node with a GPU for each case, for the length of a `with` block; raises as `node.opened`."""
    gpus = [GPU] * len(cases_of(slicer))
    geometry = {index: [PROFILE] for index in range(len(gpus))} if slicer == "device-plugin" else None
    with slicing.opened(lab, slicer, gpus=gpus, geometry=geometry) as node:
        yield Away(node)
