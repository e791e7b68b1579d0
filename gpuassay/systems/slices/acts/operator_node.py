"""What the GPU Operator does to a node, on fake GPUs: device plugin and feature discovery under configurations.

    with operated(lab, gpus=("a100-40gb",), configs={"plain": {}, "shared": {...}}) as gpus:
        gpus.use("shared")
        gpus.observe_offers({"nvidia.com/gpu": 4}, "shared")

Device plugin and GPU feature discovery are upstream's. Configurations stand in a ConfigMap and are chosen by the node
label `nvidia.com/device-plugin.config`, as on a real cluster; who follows the label is ours, and named so.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuassay.manifest import dig
from gpuassay.silicon import Geometry, Silicon, seed
from gpuassay.silicon.state import CUDA_VERSION, DRIVER_VERSION
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import real_node as slices
from gpuassay.systems.slices.readings import SILICON
from gpuassay.systems.slices.rows import SiliconEvent
from gpuassay.workloads import containers

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.base import Emulated
    from gpuassay.cluster.node.real import Node
    from gpuassay.scenarios.lab import Lab
    from gpuassay.systems.slices.component.device_plugin import DevicePlugin
    from gpuassay.systems.slices.component.fake_driver import FakeDriver

CHOICE = "nvidia.com/device-plugin.config"
"""Node label that names the configuration."""
FIRST = "default"
"""The configuration where the node has no such label."""
CONFIGS = "device-plugin-configs"

EMULATED: Emulated = {
    "what": "config manager of the GPU Operator and node feature discovery",
    "by": "gpuassay.systems.slices.acts.operator_node",
    "means": "the suite itself follows the node label to a configuration, signals the device plugin, runs GPU feature "
    "discovery once and puts its labels onto the node; device plugin and GPU feature discovery are upstream's",
}


def mig_config(strategy: str, **more: Any) -> dict[str, Any]:
    """A configuration of device plugin and GPU feature discovery with a MIG strategy."""
    return {"flags": {"migStrategy": strategy}, **more}


def time_slicing(resource: str, replicas: int, **more: Any) -> dict[str, Any]:
    """The `sharing` part of a configuration: `replicas` of a resource; `more` such as `renameByDefault=True`."""
    return {"timeSlicing": {**more, "resources": [{"name": resource, "replicas": replicas}]}}


class OperatedNode:
    """A node with fake GPUs, a device plugin and a stand-in that follows the node's choice of configuration."""

    def __init__(self, lab: Lab, node: Node, driver: FakeDriver, plugin: DevicePlugin) -> None:
        """Used by `operated`."""
        self.lab, self.node, self.driver, self.plugin = lab, node, driver, plugin
        self.silicon = driver.silicon

    # --- configurations

    def use(self, name: str) -> None:
        """Choose a configuration by the node's label, and follow it as the config manager does."""
        self.lab.patch("Node", self.node.name, {"metadata": {"labels": {CHOICE: name}}})
        self.follow()

    def follow(self) -> None:
        """The stand-in: give the device plugin the configuration that the node's label names, and SIGHUP.

        A device plugin that has ended is started again, as its DaemonSet would.
        """
        from gpuassay.systems.slices.component.device_plugin import config_file

        config_file(self.driver, self.chosen())
        name = f"{self.node.name}-{self.plugin.name}"
        process = self.node.cluster.processes.get(name)
        if process is not None and process.alive:
            process.may_die()  # of a configuration that it refuses
            os.killpg(process.pid, signal.SIGHUP)
        else:
            self.plugin.start()
            self.node.cluster.processes[name].may_die()

    def chosen(self) -> dict[str, Any]:
        """The configuration that the node's label names now."""
        chosen: str = dig(self.node.object() or {}, "metadata", "labels", CHOICE, default=FIRST)
        return _config_of(self.lab, chosen)

    def discover(self, case: str) -> None:
        """Run GPU feature discovery with the chosen configuration, put its labels onto the node, and note them."""
        self.publish_features(case, self.driver, self.chosen())

    def publish_features(self, case: str, driver: FakeDriver, config: Mapping[str, Any]) -> None:
        """Run GPU feature discovery on the GPUs of `driver`; `notes.FEATURES` is what the node has then."""
        from gpuassay.systems.slices.component.device_plugin import feature_labels

        labels = feature_labels(self.node, driver, strategy=None, config=config)
        old = {key: None for key in self.labels() if key != CHOICE}
        self.lab.patch("Node", self.node.name, {"metadata": {"labels": {**old, **labels}}})
        self.lab.note_under(notes.FEATURES, case, self.labels())

    def discover_others(self, case: str, gpus: Sequence[str], geometry: Geometry, config: str, *, mig: bool) -> None:
        """As `discover`, with other GPUs in the place of the node's, under the configuration called `config`."""
        from gpuassay.systems.slices.component.fake_driver import fake_driver

        folder = self.driver.root.parent / case
        folder.mkdir()
        silicon = Silicon.create(folder / "state", gpus, mig=mig, seed=case)
        try:
            seed(silicon, geometry)
            if self.lab.mutant is not None:
                self.lab.mutant.disturb_silicon(silicon)
            self.publish_features(case, fake_driver(folder, silicon), _config_of(self.lab, config))
        finally:
            silicon.close()

    def labels(self) -> dict[str, str]:
        """NVIDIA's labels of the node now."""
        found: dict[str, str] = dig(self.node.object() or {}, "metadata", "labels", default={})
        return {key: value for key, value in found.items() if key.startswith("nvidia.com/")}

    # --- what the node offers

    def offers(self) -> dict[str, int]:
        """What the node offers now, without what it offers none of."""
        from gpuassay.systems.slices.component.program import allocatable

        return {name: count for name, count in allocatable(self.node).items() if count}

    def observe_offers(self, expected: Mapping[str, int], label: str, *, timeout: float | None = None) -> None:
        """Give the node time to offer exactly `expected`; `notes.OFFERS` is what it offers in the end."""
        self.lab.observe(lambda: self.offers() == dict(expected), f"offers of {label}", timeout=timeout)
        self.lab.note_under(notes.OFFERS, label, self.offers())

    def observe_refusal(self, label: str) -> None:
        """Give the device plugin time to refuse its configuration; its last error is `notes.REFUSALS`."""
        process = self.node.cluster.processes[f"{self.node.name}-{self.plugin.name}"]
        self.lab.observe(lambda: not process.alive, f"{label} refused", timeout=15)
        errors = [line for line in process.tail(20) if "rror" in line] if not process.alive else []
        self.lab.note_under(notes.REFUSALS, label, errors[-1] if errors else "")

    # --- pods

    def pod(self, name: str, resource: str, count: int = 1) -> None:
        """Create a pod that asks for so much of a resource, says which GPUs it was given, and waits."""
        limits = {resource: str(count)}
        said = (("env", "NVIDIA_VISIBLE_DEVICES"), ("print", "."), ("wait",))
        made = containers.container("main", *said, resources={"limits": limits})
        slices.pod(self.lab, name, node=self.node.name, containers=[made])

    def observe_running(self, *names: str) -> None:
        """Give pods time to run."""
        self.lab.observe(lambda: slices.running(self.lab, *names), f"running: {', '.join(names)}")

    def note_given(self, *names: str) -> None:
        """Note which GPUs the pods say that they were given, as `notes.GIVEN`."""
        from gpuassay.cluster.errors import ClusterError

        def said(name: str) -> str:
            try:
                return self.lab.api.raw(f"/api/v1/namespaces/{self.lab.namespace}/pods/{name}/log?container=main")
            except ClusterError:  # no container, no log
                return ""

        for name in names:
            self.lab.observe(lambda one=name: "\n." in said(one), f"{name} has said what it was given")
            lines = said(name).splitlines()
            told = [one.split("=", 1)[1] for one in lines if one.startswith("NVIDIA_VISIBLE_DEVICES=")]
            self.lab.note_under(notes.GIVEN, name, told[0].split(",") if told else [])

    def delete(self, *names: str) -> None:
        """Delete pods and give them time to go."""
        for name in names:
            self.lab.delete("Pod", name)
        self.lab.observe(lambda: slices.gone(self.lab, *names), f"gone: {', '.join(names)}")

    # --- faults

    def disturb(self) -> None:
        """Let the mutant, when there is one, do something to the node before a GPU breaks."""
        if self.lab.mutant is not None:
            self.lab.mutant.disturb_node(self.node)

    def mend(self) -> None:
        """Make all GPUs well again; what the mutant has done to them stays."""
        self.silicon.heal()
        if self.lab.mutant is not None:
            self.lab.mutant.disturb_silicon(self.silicon)

    def restart_plugin(self) -> None:
        """End the device plugin and start it again (through the mutant), as the deletion of its pod does."""
        self.plugin.stop()
        # else what it offered before would be taken for what the new one offers
        self.lab.observe(lambda: not self.offers(), "nothing offered while the device plugin is away")
        self.plugin.start()
        self.disturb()


def _config_of(lab: Lab, name: str) -> dict[str, Any]:
    """The configuration `name` of the ConfigMap as the cluster has it; an empty one where there is none."""
    data: dict[str, str] = dig(lab.api.get("ConfigMap", CONFIGS, lab.namespace) or {}, "data", default={})
    return json.loads(data[name]) if name in data else {}


@contextmanager
def operated(
    lab: Lab,
    *,
    gpus: Sequence[str],
    configs: Mapping[str, Mapping[str, Any]],
    geometry: Geometry | None = None,
    mig: bool = True,
) -> Generator[OperatedNode]:
    """Open a node with GPUs, and a device plugin under the configuration `FIRST`, for the length of a `with` block.

    Args:
        lab: the scenario's lab.
        gpus: models of the node's GPUs.
        configs: configurations of device plugin and GPU feature discovery, by name.
        geometry: slices of the GPUs.
        mig: whether MIG mode is on.

    Raises:
        gpuassay.cluster.errors.ClusterError: node or device plugin do not start; one line says why.
    """
    from gpuassay.cluster.node.real import real_node
    from gpuassay.systems.slices.component.device_plugin import device_plugin
    from gpuassay.systems.slices.component.fake_driver import PROC_DRIVER, fake_driver

    lab.create(
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIGS, "namespace": lab.namespace},
            "data": {name: json.dumps(config) for name, config in configs.items()},
        }
    )  # fmt: skip
    folder = lab.cluster.directory / lab.unique("operated")
    folder.mkdir()
    silicon = Silicon.create(folder / "state", gpus, mig=mig, seed=lab.token)
    try:
        driver = fake_driver(folder, silicon)
        seed(silicon, geometry or {})
        if lab.mutant is not None:
            lab.mutant.disturb_silicon(silicon)
        name = f"o-{lab.token}"[:40]
        lab.note(notes.GPUS, list(gpus))
        lab.note(notes.DRIVER, DRIVER_VERSION)
        lab.note(notes.CUDA, CUDA_VERSION)
        lab.note(notes.NODE, name)
        lab.note(notes.UUIDS, silicon.gpus)
        lab.cluster.tell(emulated=[EMULATED])
        with (
            real_node(lab.cluster, name, labels=lab.marks, binds={driver.proc: PROC_DRIVER}) as node,
            device_plugin(node, driver, strategy=None, config=_config_of(lab, FIRST)) as plugin,
        ):
            yield OperatedNode(lab, node, driver, plugin)
    finally:
        lab.rows(SILICON).extend([SiliconEvent(node=lab.token, **one.row()) for one in silicon.events()])
        silicon.close()
