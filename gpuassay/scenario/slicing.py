"""A node whose GPUs are sliced: fake GPUs, a real node on them and who makes the slices, for one scenario.

    with slicing.opened(lab, "dra") as site:
        site.pod("small", "1g.5gb")
        site.until_running("small")
        site.identify("small")

Every scenario has a node and GPUs of its own, so that it can restart, break and exhaust them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

from gpuassay.manifest import Manifest, dig
from gpuassay.model.slices_predict import BALANCED
from gpuassay.scenario import slices
from gpuassay.silicon import Geometry, Silicon, minors, seed
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.components.slices.driver_root import FakeDriver
    from gpuassay.components.slices.part import Part
    from gpuassay.scenario.lab import Lab

SlicerName = Literal["device-plugin", "dra"]
SLICERS: tuple[SlicerName, ...] = get_args(SlicerName)

GPUS = ("a100-40gb", "a100-40gb")
"""What a node has unless a scenario asks for something else."""

STATIC: Geometry = {gpu: list(BALANCED) for gpu in range(len(GPUS))}
"""How the GPUs are cut for the device plugin, which cuts nothing itself: NVIDIA's `all-balanced`."""

WITNESS = (("env", "NVIDIA_VISIBLE_DEVICES"), ("list", "/dev/nvidia-caps"), ("print", "."))
"""What a container says at its beginning: the devices that it was given, by name and by device node."""

_CAPABILITY = re.compile(r"^nvidia-cap(\d+)$", re.MULTILINE)
_NAMED = re.compile(r"^NVIDIA_VISIBLE_DEVICES=(.*)$", re.MULTILINE)


class Site:
    """What a scenario can do on its sliced node.

    Attributes:
        lab: the scenario's lab.
        slicer: who makes the slices.
        node: the real node.
        driver: its fake driver.
        silicon: its fake GPUs.
        part: the slicer's program on the node.
    """

    def __init__(self, lab: Lab, slicer: SlicerName, node: Node, driver: FakeDriver, part: Part) -> None:
        """Used by `opened`."""
        self.lab, self.slicer, self.node, self.driver, self.part = lab, slicer, node, driver, part
        self.silicon = driver.silicon

    # --- pods --------------------------------------------------------------------------------------------------------

    def container(self, name: str, profile: str, count: int = 1, *steps: Sequence[object], **more: Any) -> Manifest:
        """A container that asks for `count` slices, says what it was given, and then takes `steps` (waits if none)."""
        from gpuassay.components.slices.device_plugin import resource

        limits = {resource(profile): str(count)}
        return containers.container(name, *WITNESS, *(steps or (("wait",),)), resources={"limits": limits}, **more)

    def pod(
        self, name: str, profile: str, count: int = 1, *steps: Sequence[object],
        containers_: Sequence[Manifest] = (), **options: Any,
    ) -> str:  # fmt: skip
        """Create a pod of one such container, or of the given ones; returns its name."""
        made = list(containers_) or [self.container("main", profile, count, *steps)]
        return slices.pod(self.lab, name, node=self.node.name, containers=made, **options)

    def until_running(self, *names: str, timeout: float = 60) -> None:
        """Wait until the pods run; an error of the scenario if they do not."""
        self.lab.until(lambda: slices.running(self.lab, *names), f"running: {', '.join(names)}", timeout=timeout)

    def observe_running(self, *names: str, timeout: float = 30) -> bool:
        """Note whether the pods come to run."""
        return self.lab.observe(
            lambda: slices.running(self.lab, *names), f"running: {', '.join(names)}", timeout=timeout
        )

    def delete(self, *names: str, grace: int | None = None) -> None:
        """Delete pods and note whether they go; `grace` 0 is a force deletion."""
        for name in names:
            self.lab.api.delete("Pod", name, self.lab.namespace, grace_seconds=grace)
        self.lab.observe(lambda: slices.gone(self.lab, *names), f"gone: {', '.join(names)}", timeout=30)

    # --- witnesses ---------------------------------------------------------------------------------------------------

    def identify(self, *names: str) -> None:
        """Note which slices each container of the pods says it was given, as UUIDs: `notes["held"][pod][container]`."""
        held: dict[str, dict[str, list[str]]] = dict(self.lab.notes.get("held", {}))
        for name in names:
            found = self.lab.get("Pod", name) or {}
            kinds = ("initContainers", "containers")
            every: list[str] = [one["name"] for kind in kinds for one in dig(found, "spec", kind, default=[])]
            held[name] = {one: self._said(name, one) for one in every}
        self.lab.note(held=held)

    def _said(self, pod: str, container: str) -> list[str]:
        path = f"/api/v1/namespaces/{self.lab.namespace}/pods/{pod}/log?container={container}"
        lines = f"{container} of {pod} has said what it was given"
        self.lab.until(lambda: "\n.\n" in f"\n{self.lab.api.raw(path)}", lines, timeout=30)
        return self.resolve(self.lab.api.raw(path))

    def resolve(self, said: str) -> list[str]:
        """UUIDs of the slices that a container's first lines name; what is unknown keeps the name that it had."""
        found = _NAMED.search(said)
        named = found[1] if found else ""
        if named and named != "void":
            return sorted(named.split(","))
        uuids = {(one.gpu, one.gpu_instance): one.uuids for one in self.silicon.slices()}
        given: set[str] = set()
        for number in _CAPABILITY.findall(said):
            where = minors.instance_of(int(number))
            if where is not None and where[2] is not None:
                there = uuids.get((where[0], where[1]), ())
                given.add(there[0] if there else f"nothing at GPU {where[0]} instance {where[1]}")
        return sorted(given)

    def note_rest(self, label: str) -> None:
        """Note what exists now, as `notes[label]`: slices of the silicon, claims of the API, CDI files of the node."""
        self.lab.note(
            **{
                label: {
                    "slices": [uuid for one in self.silicon.slices() for uuid in one.uuids or (f"bare {one.profile}",)],
                    "claims": [device for claim in self.claims() for device in claimed_devices(claim)],
                    "cdi": sorted(one.name for one in self.node.paths.cdi.iterdir()),
                }
            }
        )

    def claims(self) -> list[Manifest]:
        """The ResourceClaims of the scenario that have devices of this node."""
        return [one for one in self.lab.objects("ResourceClaim") if claimed_devices(one)]

    def until_empty(self, timeout: float = 30) -> bool:
        """Note whether no slice is left, where slices are made on demand."""
        return self.lab.observe(lambda: not self.silicon.slices(), "no slice is left", timeout=timeout)


def claimed_devices(claim: Manifest) -> list[str]:
    """Names of the devices that are allocated to a ResourceClaim, such as `gpu-0-mig-1g5gb-19-0`."""
    results: list[Manifest] = dig(claim, "status", "allocation", "devices", "results", default=[])
    return [one["device"] for one in results]


@contextmanager
def opened(
    lab: Lab,
    slicer: SlicerName,
    *,
    gpus: Sequence[str] = GPUS,
    geometry: Geometry | None = None,
    before: Mapping[str, Any] | None = None,
    **options: Any,
) -> Generator[Site]:
    """Open a sliced node for the length of a `with` block; what was done to its GPUs goes into the recording.

    Args:
        lab: the scenario's lab.
        slicer: who makes the slices.
        gpus: models of the node's GPUs.
        geometry: slices that exist from the beginning; `STATIC` for the device plugin if None.
        before: a fault that is set before anything else, as arguments of `Silicon.inject`.
        **options: of `device_plugin` or `dra_driver`.

    Raises:
        gpuassay.cluster.errors.ClusterError: the node or the slicer does not start; one line says why.
    """
    from gpuassay.cluster.node.real import real_node
    from gpuassay.components.slices.driver_root import PROC_DRIVER, fake_driver

    folder = lab.cluster.directory / lab.unique("gpus")
    folder.mkdir()
    silicon = Silicon.create(folder / "state", gpus, seed=lab.token)
    try:
        driver = fake_driver(folder, silicon)
        if geometry is None and slicer == "device-plugin":
            geometry = {gpu: cut for gpu, cut in STATIC.items() if gpu < len(gpus)}
        if geometry:
            seed(silicon, geometry)
        if before:
            silicon.inject(**before)
        name = f"n-{lab.token}"[:40]
        with (
            real_node(lab.cluster, name, labels=lab.marks, binds={driver.proc: PROC_DRIVER}) as node,
            _slicer(slicer, node, driver, options) as part,
        ):
            site = Site(lab, slicer, node, driver, part)
            if lab.mutant is not None:
                lab.mutant.disturb_silicon(silicon)
            lab.note(slicer=slicer, gpus=list(gpus), node=name)
            yield site
    finally:
        lab.silicon += [{"node": lab.token, **one.row()} for one in silicon.events()]
        silicon.close()


@contextmanager
def _slicer(slicer: SlicerName, node: Node, driver: FakeDriver, options: Mapping[str, Any]) -> Generator[Part]:
    from gpuassay.components.slices.device_plugin import device_plugin, offered
    from gpuassay.components.slices.dra import dra_driver
    from gpuassay.components.slices.part import await_allocatable

    making: AbstractContextManager[Part]
    if slicer == "device-plugin":
        making = device_plugin(node, driver, **options)
    else:
        making = dra_driver(node, driver, **options)
    with making as part:
        if slicer == "device-plugin":
            await_allocatable(node, offered(driver, options.get("strategy", "mixed")), part=part)
        yield part
