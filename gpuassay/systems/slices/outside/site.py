"""A GPU node of somebody's cluster, as scenarios act on it: what they may do there, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Never
from urllib.parse import parse_qs, urlsplit

from gpuassay.cluster.errors import ClusterError, NotFromOutside
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.acts.node import SlicedNode
from gpuassay.systems.slices.acts.pods import NodePods, SlicerName
from gpuassay.systems.slices.judge import told, words
from gpuassay.systems.slices.judge.observed import claimed_devices
from gpuassay.systems.slices.outside.evidence import WITNESS, require, sum_step
from gpuassay.systems.slices.outside.held import TOLERATED, allocated
from gpuassay.workloads import containers
from gpuassay.workloads.in_a_shell import ASK

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

PORT = "8080"
"""At which scenarios ask pods."""
OURS = frozenset({"silicon", "driver", "part"})
"""What a node of ours has."""
_PRESENT = {"Running", "Succeeded", "Failed"}


class SomebodysNode:
    """The name of a node is all that we have of it."""

    def __init__(self, name: str) -> None:
        """Nothing is done to it."""
        self.name = name

    def __getattr__(self, name: str) -> Never:
        """What a scenario would do to a node of ours."""
        raise NotFromOutside(f"{name} of a node is ours to touch only where the node is ours")


class OutsideSite(SlicedNode):
    """What a scenario can do on somebody's GPU node."""

    def __init__(self, lab: Lab, slicer: SlicerName, node: str, names: Mapping[str, str]) -> None:
        """Used by `opened`; `names` are the node's profiles by those of the scenario."""
        there: Any = SomebodysNode(node)
        NodePods.__init__(self, lab, there)
        self.slicer: SlicerName = slicer
        self.names = names
        self.tells = True
        self._seen: set[str] = set()

    def __getattr__(self, name: str) -> Never:
        """Silicon, driver and slicer are somebody's."""
        if name in OURS:
            raise NotFromOutside("the scenario needs GPUs of ours: it cuts them, breaks them, or reads their own log")
        raise AttributeError(name)

    # --- pods

    def resource(self, profile: str) -> str:
        """The resource of the slice that the node has for a profile."""
        return told.resource(self.names.get(profile, profile))

    def container_of(self, name: str, slices_: Mapping[str, int], *steps: Sequence[object], **more: Any) -> Manifest:
        """As of any site; the container computes something besides, as evidence that it runs."""
        limits: dict[str, str] = {}
        for profile, count in slices_.items():
            limits[self.resource(profile)] = str(int(limits.get(self.resource(profile), "0")) + count)
        said = (*WITNESS[:-1], sum_step(), WITNESS[-1])
        return containers.container(name, *said, *(steps or (("wait",),)), resources={"limits": limits}, **more)

    def placed(self, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Pods go onto nodes that are kept for GPUs."""
        given = dict(spec or {})
        return given | {"tolerations": [*given.get("tolerations", []), *TOLERATED]}

    def ask(self, name: str, path: str) -> str | None:
        """Ask a container to end, by an annotation of its pod; other questions need a way to the pod."""
        asked = urlsplit(path)
        if asked.path != "/exit":
            raise NotFromOutside(f"{asked.path} is asked of a pod by HTTP, which only reaches pods of ours")
        code = parse_qs(asked.query)["code"][0]
        note = {f"{ASK}{PORT}": f"{code} {time.time_ns()}"}
        self.lab.api.patch("Pod", name, {"metadata": {"annotations": note}}, namespace=self.lab.namespace)
        return "ok"

    def answers(self, name: str) -> bool:
        """Whether the pod's container runs and has said all that it says at its beginning."""
        pod = self.lab.get("Pod", name) or {}
        statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
        running = bool(statuses) and all(dig(one, "state", "running") is not None for one in statuses)
        return running and "\n.\n" in self._log(name, "main")

    def _log(self, pod: str, container: str) -> str:
        path = f"/api/v1/namespaces/{self.lab.namespace}/pods/{pod}/log?container={container}"
        try:
            return "\n" + self.lab.api.raw(path)
        except ClusterError:  # no container, no log
            return ""

    def offers(self, profile: str) -> int:
        """Slices of the profile that the node offers now."""
        node = self.lab.api.get("Node", self.node.name) or {}
        return int(dig(node, "status", "allocatable", self.resource(profile), default="0"))

    def _all_offered(self) -> dict[str, int]:
        """Everything of NVIDIA's that the node offers now."""
        node = self.lab.api.get("Node", self.node.name) or {}
        there: dict[str, str] = dig(node, "status", "allocatable", default={})
        return {name: int(count) for name, count in there.items() if name.startswith("nvidia.com/")}

    def observe_withdrawn(self) -> None:
        """Note whether the node stops to offer what the device plugin handed out."""
        if self.slicer == "device-plugin":
            self.lab.observe(lambda: not any(self._all_offered().values()), "the node offers no slice")

    @contextmanager
    def slicer_away(self, *, kill: bool) -> Generator[None]:
        """End the slicer's pod on the node for the length of a `with` block; it is ready again afterwards.

        Raises:
            NotFromOutside, UnobtainableError: it cannot be found there, or is somebody's who has not allowed it.
        """
        from gpuassay.systems.slices.outside.away import away

        before = self._all_offered()
        with away(self.lab, self.slicer, self.node.name, kill=kill):
            self.lab.mark("slicer-away")
            yield
            self.lab.mark("first-back", once=True)
            self.lab.mark("slicer-back")
        self.lab.observe(lambda: before.items() <= self._all_offered().items(), "the node offers all slices")

    def require_asked_profiles(self, why: str) -> None:
        """Leave the scenario, as one that cannot be had here, where the node has other profiles than it asks for.

        Raises:
            NotFromOutside: it has others.
        """
        if others := sorted({there for asked, there in self.names.items() if asked != there}):
            raise NotFromOutside(f"{why}, and the node has {', '.join(others)}")

    def gpu_uuids(self) -> list[str]:
        """UUIDs of the GPUs that the scenario has; nothing where slices tell nothing of their GPUs."""
        return self.lab.noted(notes.GPU_UUIDS)

    # --- what containers say

    def given(self, pod: str, container: str = "main") -> list[notes.Grant]:
        """What a container says it was given; of its latest start.

        Raises:
            ClusterError: it is said to run, or to have run, and nothing shows that it did.
            NotFromOutside: it cannot know which slice it has.
        """
        said = self.words(pod, container)
        require(self.lab.get("Pod", pod) or {}, container, said)
        self._seen.add(pod)
        contradicted = [f"{container} of pod {pod} {one}" for one in words.contradictions(said)]
        self.lab.note(notes.CONTRADICTIONS, [*self.lab.noted(notes.CONTRADICTIONS), *contradicted])
        found = words.grants(said)
        if self.slicer == "dra" and any(one.source == words.FROM_NODES for one in found):
            raise NotFromOutside(
                "containers cannot tell which slice they have: nvidia-smi does not run in them; give an image that it "
                "runs in by --gpuassay-image (glibc and a shell)"
            )
        return found

    def said(self, pod: str, container: str = "main") -> list[str]:
        """UUIDs of what a container says it was given."""
        return sorted(one.uuid for one in self.given(pod, container))

    def identify(self, *names: str) -> None:
        """Note what each container of the pods says it was given; pods that never ran say nothing."""
        for name in names:
            pod = self.lab.get("Pod", name) or {}
            if slices.phase(self.lab, name) not in _PRESENT:
                continue
            every = [
                one["name"] for kind in ("initContainers", "containers") for one in dig(pod, "spec", kind, default=[])
            ]
            grants = {one: self.given(name, one) for one in every}
            self.lab.note_under(notes.GRANTS, name, grants)
            self.lab.note_under(notes.HELD, name, {one: sorted(each.uuid for each in grants[one]) for one in every})

    # --- what there is

    def rest(self) -> notes.Rest:
        """What exists now, as far as it is told."""
        for name in self._running():
            if name not in self.lab.noted(notes.GRANTS):
                self.identify(name)
        return notes.Rest(
            slices=self.slices_now(),
            allocated=self._claimed_now() if self.slicer == "dra" else self._told_now(),
            cdi=None,
            pods=sorted(one["metadata"]["name"] for one in self.lab.objects("Pod")),
        )

    def _running(self) -> list[str]:
        pods = self.lab.objects("Pod")
        return sorted(one["metadata"]["name"] for one in pods if dig(one, "status", "phase") == "Running")

    def _granted(self, pod: str) -> list[notes.Grant]:
        return [one for ones in self.lab.noted(notes.GRANTS).get(pod, {}).values() for one in ones]

    def slices_now(self) -> list[str]:
        """UUIDs of the slices that exist, as containers tell."""
        return sorted({one.uuid for pod in self._running() for one in self._granted(pod)})

    def _claimed_now(self) -> list[notes.Allocation]:
        """The devices of claims, by the UUIDs that the pods which use them tell."""
        gpus = dict(zip(self.lab.noted(notes.NUMBERS), self.lab.noted(notes.GPU_UUIDS), strict=True))
        by_pod: dict[str, list[str]] = {}
        for claim in self.claims():
            by_pod.setdefault(told.owner_of(claim) or "nobody", []).extend(claimed_devices(claim))
        found: list[notes.Allocation] = []
        for pod, devices in sorted(by_pod.items()):
            known = told.linked(devices, self._granted(pod), gpus)
            found += [notes.Allocation(pod, known[one] or f"{one}, which {pod} was not given") for one in devices]
        return found

    def _told_now(self) -> list[notes.Allocation] | None:
        """What the kubelet says in the status of pods that have not ended; None where it never says so."""
        if not self.tells:
            return None

        def told_of(name: str) -> bool:
            pod = self.lab.get("Pod", name) or {}
            return allocated(pod) is not None or not any(
                dig(one, "resources", "limits", default={}) for one in dig(pod, "spec", "containers", default=[])
            )

        self.lab.observe(lambda: all(map(told_of, self._running())), "the kubelet has told what it gave", timeout=15)
        found = {
            (name, uuid)
            for name in self._running()
            for uuids in (allocated(self.lab.get("Pod", name) or {}) or {}).values()
            for uuid in uuids
        }
        return [notes.Allocation(pod, uuid) for pod, uuid in sorted(found)]

    def observe_accounts(self, label: str) -> None:
        """Nothing is noted: books of the driver, CDI files and containers lie on somebody's node."""

    def restart_all(self) -> None:
        """Nothing is restarted that is somebody's."""

    def finish(self, *, again: bool = False) -> None:
        """As of any site; a pod that ran and was not looked at is first asked for evidence that it did."""
        for name in self._running():
            if name not in self._seen:
                self.identify(name)
        super().finish(again=again)
