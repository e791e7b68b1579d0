"""Pods that ask for slices, on a sliced node of a scenario: made, waited for, ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.component.fake_driver import FakeDriver
    from gpuassay.systems.slices.component.partitioner import Partitioner

SlicerName = Literal["device-plugin", "dra", "das"]
SLICERS: tuple[SlicerName, ...] = get_args(SlicerName)

WITNESS = (("env", "NVIDIA_VISIBLE_DEVICES"), ("list", "/dev/nvidia-caps"), ("print", "."))
"""What a container says at its beginning: the devices that it was given, by name and by device node."""


class NodePods:
    """What a scenario can do with pods on a real node of its own.

    Attributes:
        lab: the scenario's lab.
        node: the real node.
    """

    def __init__(self, lab: Lab, node: Node) -> None:
        """Used by subclasses."""
        self.lab, self.node = lab, node

    def runs(self, *names: str) -> bool:
        """Whether the pods run now."""
        return slices.running(self.lab, *names)

    def refused(self, *names: str) -> bool:
        """Whether the scheduler says that there is no room for the pods, as they wait."""
        return slices.refused(self.lab, *names)

    def ask(self, name: str, path: str) -> str | None:
        """Body of a pod's answer to an HTTP request, None where there is none; `/exit?code=0` ends its container."""
        return slices.ask(self.lab, name, path)

    def answers(self, name: str) -> bool:
        """Whether the pod answers HTTP requests."""
        return slices.ask(self.lab, name) is not None

    def restarts(self, name: str) -> int:
        """How often the pod's containers have been started again."""
        return slices.restarts(self.lab, name)

    def observe_running(self, *names: str, timeout: float | None = None) -> bool:
        """Note whether the pods come to run."""
        return self.lab.observe(
            lambda: slices.running(self.lab, *names), f"running: {', '.join(names)}", timeout=timeout
        )

    def observe_ended(self, *names: str) -> bool:
        """Note whether the pods come to an end."""
        return self.lab.observe(lambda: slices.ended(self.lab, *names), f"ended: {', '.join(names)}")

    def observe_refused(self, *names: str) -> bool:
        """Note whether the pods come to be refused."""
        return self.lab.observe(lambda: self.refused(*names), f"refused: {', '.join(names)}")

    def observe_settled(self, *names: str) -> None:
        """Note whether every pod has been started again, has ended, or is gone; after a reboot."""

        def settled(name: str) -> bool:
            again = self.restarts(name) > 0 and self.runs(name)
            return again or slices.ended(self.lab, name) or slices.gone(self.lab, name)

        self.lab.observe(lambda: all(map(settled, names)), f"settled: {', '.join(names)}")

    def delete(self, *names: str, grace: int | None = None, timeout: float | None = None) -> None:
        """Delete pods and note whether they go; `grace` 0 is a force deletion."""
        for name in names:
            self.lab.api.delete("Pod", name, self.lab.namespace, grace_seconds=grace)
        self.lab.observe(lambda: slices.gone(self.lab, *names), f"gone: {', '.join(names)}", timeout=timeout)

    def words(self, pod: str, container: str = "main") -> str:
        """What a container has said up to a line with a dot, of its latest start; empty where it says nothing."""
        path = f"/api/v1/namespaces/{self.lab.namespace}/pods/{pod}/log?container={container}"

        def log() -> str:
            try:
                return "\n" + self.lab.api.raw(path)
            except ClusterError:  # no container, no log
                return ""

        self.lab.observe(lambda: "\n.\n" in log(), f"{container} of {pod} has said what it was given")
        return log()


class Pods(NodePods):
    """What a scenario can do with pods on its sliced node.

    Attributes:
        slicer: who makes the slices.
        driver: the node's fake driver.
        silicon: its fake GPUs.
        part: the slicer's program on the node.
    """

    def __init__(self, lab: Lab, slicer: SlicerName, node: Node, driver: FakeDriver, part: Partitioner) -> None:
        """Used by `opened`."""
        super().__init__(lab, node)
        self.slicer, self.driver, self.part = slicer, driver, part
        self.silicon = driver.silicon

    def resource(self, profile: str) -> str:
        """Name of the resource of a slice."""
        from gpuassay.systems.slices.component.device_plugin import resource

        return resource(profile)

    def placed(self, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Fields of a pod's spec, with what lets it onto the node."""
        return dict(spec or {})

    def require_asked_profiles(self, why: str) -> None:
        """Leave the scenario, as one that cannot be had here, where the node has other profiles than it asks for."""

    def gpu_uuids(self) -> list[str]:
        """UUIDs of the node's GPUs, by index."""
        return self.silicon.gpus

    def container(self, name: str, profile: str, count: int = 1, *steps: Sequence[object], **more: Any) -> Manifest:
        """A container that asks for `count` slices, says what it was given, and then takes `steps` (waits if none)."""
        return self.container_of(name, {profile: count}, *steps, **more)

    def container_of(self, name: str, slices_: Mapping[str, int], *steps: Sequence[object], **more: Any) -> Manifest:
        """A container as `container` makes it, with so many slices of each profile."""
        limits = {self.resource(profile): str(count) for profile, count in slices_.items()}
        return containers.container(name, *WITNESS, *(steps or (("wait",),)), resources={"limits": limits}, **more)

    def pod(
        self, name: str, profile: str, count: int = 1, *steps: Sequence[object],
        containers_: Sequence[Manifest] = (), **options: Any,
    ) -> str:  # fmt: skip
        """Create a pod of one such container, or of the given ones; returns its name."""
        made = list(containers_) or [self.container("main", profile, count, *steps)]
        spec = self.placed(options.pop("spec", None))
        return slices.pod(self.lab, name, node=self.node.name, containers=made, spec=spec, **options)

    def attempt_pod(self, name: str, profile: str, **options: Any) -> bool:
        """Try to create a pod; `Recording.attempt` says whether and why it was refused."""
        made, spec = self.container("main", profile), self.placed(options.pop("spec", None))
        return self.lab.attempt(
            name, containers.pod(name, self.lab.namespace, node=self.node.name, containers=[made], spec=spec, **options)
        )

    def quota_counts(self, name: str) -> bool:
        """Whether a ResourceQuota counts what it limits."""
        found = self.lab.api.get("ResourceQuota", name, self.lab.namespace) or {}
        return dig(found, "status", "hard", default=None) == dig(found, "spec", "hard", default=None)

    def offers(self, profile: str) -> int:
        """Slices of `profile` that the node offers now."""
        from gpuassay.systems.slices.component.device_plugin import resource
        from gpuassay.systems.slices.component.program import allocatable

        return allocatable(self.node).get(resource(profile), 0)

    def observe_withdrawn(self) -> None:
        """Note whether the node stops to offer slices, where they are told as extended resources."""
        from gpuassay.systems.slices.component.program import allocatable

        if self.part.offers():
            self.lab.observe(lambda: not any(allocatable(self.node).values()), "the node offers no slice")

    def observe_stuck(self, name: str) -> None:
        """Note whether it shows that a pod cannot have its slice: not scheduled, or the kubelet says so."""

        def stuck() -> bool:
            told = [one for one in self.lab.objects("Event") if dig(one, "regarding", "name") == name]
            failed = any(str(one.get("reason", "")).startswith("FailedPrepare") for one in told)
            return failed or self.refused(name)

        self.lab.observe(stuck, f"{name} cannot have its slice", timeout=10)
