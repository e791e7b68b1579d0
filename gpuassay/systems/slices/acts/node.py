"""A node whose GPUs are sliced: fake GPUs, a real node on them and who makes the slices, for one scenario.

    with slicing.opened(lab, "dra") as site:
        site.pod("small", "1g.5gb")
        site.observe_running("small")
        site.identify("small")
        site.finish()

Every scenario has a node and GPUs of its own, so that it can restart, break and exhaust them.
"""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.silicon import Geometry, Silicon, Slice, seed
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts.observations import Witnesses
from gpuassay.systems.slices.acts.pods import SLICERS, SlicerName
from gpuassay.systems.slices.model.predict import BALANCED
from gpuassay.systems.slices.readings import SILICON
from gpuassay.systems.slices.rows import SiliconEvent

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.component.fake_driver import FakeDriver
    from gpuassay.systems.slices.component.partitioner import Partitioner

__all__ = ["GPUS", "SLICERS", "STATIC", "Opened", "SlicedNode", "SlicerName", "opened", "scheduler_away"]

GPUS = ("a100-40gb", "a100-40gb")
"""What a node has unless a scenario asks for something else."""

STATIC: Geometry = {gpu: list(BALANCED) for gpu in range(len(GPUS))}
"""How the GPUs are cut for the device plugin, which cuts nothing itself: NVIDIA's `all-balanced`."""

BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""By which programs know a reboot; a node shares our kernel, so it has one of its own in that place."""

KUBELET = {"syncFrequency": "2s"}
"""A failed preparation of a claim is tried again after this time, which is a minute by default."""


class SlicedNode(Witnesses):
    """What a scenario can do on its sliced node: pods, notes of what there is, and faults."""

    def restart_kubelet(self, *, kill: bool = False) -> None:
        """Restart the kubelet (through the mutant, when there is one); returns once the slicer is known to it again."""
        known = self.part.after_kubelet()
        self.lab.mark("kubelet-restart")
        self.node.stop_kubelet(kill=kill)
        self._disturb()
        self.node.start_kubelet()
        if known is not None:
            self.lab.observe(known, "the slicer has registered again")
        self.observe_offered()

    @contextmanager
    def slicer_away(self, *, kill: bool) -> Generator[None]:
        """End the slicer's program for the length of a `with` block (through the mutant), then start it again."""
        self.part.kill() if kill else self.part.stop()
        self.lab.mark("slicer-away")
        self._disturb()
        yield
        self.lab.mark("first-back", once=True)
        self.lab.mark("slicer-back")
        self.start_slicer()

    @contextmanager
    def kubelet_frozen(self) -> Generator[None]:
        """Stop the kubelet's process (SIGSTOP) for the length of a `with` block (through the mutant): it hangs."""
        kubelet = self.lab.cluster.processes[f"{self.node.name}-kubelet"]
        kubelet.freeze()
        try:
            self.lab.mark("kubelet-frozen")
            self._disturb()
            yield
        finally:
            kubelet.thaw()
        self.lab.mark("kubelet-back")

    def start_slicer(self) -> None:
        """Start the slicer's program again; returns once the node offers what it should."""
        known = self.part.after_start()
        self.part.start()
        if known is not None:
            self.lab.observe(known, "the slicer is back")
        self.observe_offered()

    def observe_offered(self) -> None:
        """Note whether the node comes to offer what it should, where that is told as extended resources."""
        from gpuassay.systems.slices.component.program import allocatable

        if wanted := self.part.offers().items():
            self.lab.observe(lambda: wanted <= allocatable(self.node).items(), "the node offers all slices")

    def reboot(self) -> None:
        """A power failure: all slices go, the node starts anew, static slices are cut anew, the slicer is started."""
        self.lab.mark("reboot")
        before = self.silicon.slices()
        self.silicon.reboot()
        _new_boot(self.driver)
        self.node.reboot()
        if self.part.static:  # as an administrator's service does at boot
            geometry: dict[int, list[str | tuple[str, int]]] = {}
            for one in before:
                geometry.setdefault(one.gpu, []).append((one.profile, one.start))
            seed(self.silicon, geometry)
        self._disturb()
        self.start_slicer()

    def restart_all(self) -> None:
        """Restart kubelet and slicer in order, behind nobody's back; pods go on running."""
        self.part.stop()
        self.node.stop_kubelet()
        self.node.start_kubelet()
        self.start_slicer()

    def break_slice(self, broken: Slice, xid: int) -> None:
        """A critical error on a slice (through the mutant, when there is one)."""
        self._disturb()
        self.silicon.xid(broken.gpu, xid, broken)

    def _disturb(self) -> None:
        if self.lab.mutant is not None:
            self.lab.mutant.disturb_node(self.node)


Opened = AbstractContextManager[SlicedNode]
"""What `opened` gives."""


@contextmanager
def scheduler_away(lab: Lab) -> Generator[None]:
    """Kill the cluster's scheduler for the length of a `with` block, then start it again; for alone="cluster"."""
    old = lab.cluster.supervisor.processes["kube-scheduler"]
    old.kill()
    lab.mark("scheduler-away")
    yield
    lab.mark("scheduler-back")
    start_scheduler(lab)


def start_scheduler(lab: Lab) -> None:
    """Start the cluster's scheduler, which has ended."""
    from gpuassay import toolchain
    from gpuassay.cluster import flags

    name = "kube-scheduler"
    supervisor = lab.cluster.supervisor
    program = toolchain.programs("controlplane", lab.cluster.assets).path(name)
    command = flags.scheduler(program, lab.cluster.kubeconfig_for(name), flags.Options())
    supervisor.start(name, command, supervisor.processes[name].log, cwd=lab.cluster.directory / "work")


@contextmanager
def opened(
    lab: Lab,
    slicer: SlicerName,
    *,
    gpus: Sequence[str] = GPUS,
    geometry: Geometry | None = None,
    before: Mapping[str, Any] | None = None,
    wants: Mapping[str, int] | None = None,
    agreeing: bool = True,
    **options: Any,
) -> Generator[SlicedNode]:
    """Open a sliced node for the length of a `with` block; what was done to its GPUs goes into the recording.

    On somebody's cluster it is one of theirs (`gpuassay.systems.slices.outside`).

    Args:
        lab: the scenario's lab.
        slicer: who makes the slices.
        gpus: models of the node's GPUs.
        geometry: slices that exist from the beginning; `STATIC` for the device plugin if None.
        before: a fault that is set before anything else, as arguments of `Silicon.inject`.
        wants: how many slices of each profile are free on somebody's node at the beginning, where they were cut
            beforehand; those of `geometry` if None.
        agreeing: False where a listed defect keeps the five accounts from agreeing, so that they are not taken.
        **options: of `device_plugin`, `dra_driver` or `das_slicer`.

    Raises:
        gpuassay.cluster.errors.ClusterError: the node or the slicer does not start; one line says why.
        gpuassay.cluster.errors.NotFromOutside: somebody's cluster has no such node, or the scenario needs one of ours.
    """
    if lab.cluster.provider == "existing":
        if before or options:
            raise NotFromOutside("the scenario breaks its GPUs, or starts the slicer with options of its own")
        from gpuassay.systems.slices.outside import opened as outside

        counted = wants if wants is not None else _counted(geometry or _balanced(gpus))
        with outside.opened(lab, slicer, gpus=gpus, wants=counted) as theirs:
            yield theirs
        return
    from gpuassay.cluster.node.real import real_node
    from gpuassay.systems.slices.acts.das import DasSite
    from gpuassay.systems.slices.component.das import CAPABLE
    from gpuassay.systems.slices.component.fake_driver import PROC_DRIVER, fake_driver

    folder = lab.cluster.directory / lab.unique("gpus")
    folder.mkdir()
    silicon = Silicon.create(folder / "state", gpus, seed=lab.token)
    try:
        driver = fake_driver(folder, silicon)
        if geometry is None and slicer == "device-plugin":
            geometry = _balanced(gpus)
        if geometry:
            seed(silicon, geometry)
        if before:
            silicon.inject(**before)
        name = f"n-{lab.token}"[:40]
        binds = {driver.proc: PROC_DRIVER, _new_boot(driver): BOOT_ID}
        labels = lab.marks | (CAPABLE if slicer == "das" else {})
        with (
            real_node(lab.cluster, name, labels=labels, binds=binds, settings=KUBELET) as node,
            _slicer(lab, slicer, node, driver, options) as part,
        ):
            site = (DasSite if slicer == "das" else SlicedNode)(lab, slicer, node, driver, part)
            site.agreeing = agreeing
            site.note_rest("begin")
            site.observe_accounts("begin")
            lab.mark("opened")
            if lab.mutant is not None:
                lab.mutant.disturb_silicon(silicon)
            lab.note(notes.SLICER, slicer)
            lab.note(notes.GPUS, list(gpus))
            lab.note(notes.NODE, name)
            yield site
            site.observe_accounts("end")
    finally:
        lab.rows(SILICON).extend([SiliconEvent(node=lab.token, **one.row()) for one in silicon.events()])
        silicon.close()
        for place in ("root", "proc-driver"):  # thousands of device nodes and files that nobody needs any more
            shutil.rmtree(folder / place, ignore_errors=True)


def _balanced(gpus: Sequence[str]) -> Geometry:
    return {gpu: cut for gpu, cut in STATIC.items() if gpu < len(gpus)}


def _counted(geometry: Geometry) -> dict[str, int]:
    """Slices of a geometry by profile."""
    return dict(Counter(one if isinstance(one, str) else one[0] for cut in geometry.values() for one in cut))


def _new_boot(driver: FakeDriver) -> Path:
    """The file of the node's boot id, with a new one in it."""
    file = driver.root.parent / "boot_id"
    file.write_text(f"{uuid.uuid4()}\n")
    return file


@contextmanager
def _slicer(
    lab: Lab, slicer: SlicerName, node: Node, driver: FakeDriver, options: Mapping[str, Any]
) -> Generator[Partitioner]:
    from gpuassay.systems.slices.component.das import das_slicer
    from gpuassay.systems.slices.component.device_plugin import device_plugin
    from gpuassay.systems.slices.component.dra import dra_driver
    from gpuassay.systems.slices.component.program import await_allocatable

    making: AbstractContextManager[Partitioner]
    if slicer == "device-plugin":
        making = device_plugin(node, driver, **options)
    elif slicer == "das":
        change = {"change": lab.mutant.change} if lab.mutant is not None else {}
        making = das_slicer(node, driver, namespace=lab.namespace, **change, **options)
    else:
        making = dra_driver(node, driver, **options)
    with making as part:
        if part.static:  # those that cut on demand have waited themselves
            await_allocatable(node, part.offers(), part=part)
        yield part
