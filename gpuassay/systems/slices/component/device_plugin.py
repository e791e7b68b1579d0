"""NVIDIA's Kubernetes device plugin and GPU feature discovery, upstream's programs, on fake GPUs of a real node.

The plugin offers slices that exist when it starts; nothing is cut on demand. Sources: k8s-device-plugin's README
(options, MIG strategies, sharing) and the labels that GPU feature discovery documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from gpuassay.cluster.node.real import Node
from gpuassay.systems.slices.component.fake_driver import FakeDriver
from gpuassay.systems.slices.component.program import READY_SECONDS, Part, Program, upstream
from gpuassay.toolchain import Assets, programs
from gpuassay.waiting import wait

COMPONENT = "nvidia-device-plugin"

Strategy = Literal["none", "single", "mixed"]
"""How slices are offered: not at all (whole GPUs), all alike as `nvidia.com/gpu`, or each profile by its name."""

Lists = Literal["envvar", "cdi-cri"]
"""How a container is told its devices: by NVIDIA_VISIBLE_DEVICES, or by CDI (device nodes appear in it)."""


def resource(profile: str) -> str:
    """The resource of a MIG profile: `nvidia.com/mig-1g.5gb`; attributes follow a dot instead of a plus sign."""
    return f"nvidia.com/mig-{profile.replace('+', '.')}"


def offered(driver: FakeDriver, strategy: Strategy) -> dict[str, int]:
    """The resources that a device plugin should offer for the slices there are now, by NVIDIA's documented strategies.

    `single` demands equal slices on all GPUs; for others its answer is an error, which is not predicted here.
    """
    slices = [one for one in driver.silicon.slices() if one.uuids]
    if strategy == "none":
        return {"nvidia.com/gpu": len(driver.silicon.gpus)}
    if strategy == "single":
        return {"nvidia.com/gpu": len(slices)}
    counts: dict[str, int] = {}
    for one in slices:
        name = resource(one.profile)
        counts[name] = counts.get(name, 0) + len(one.uuids)
    return counts


class DevicePlugin(Part):
    """A running device plugin: a `Partitioner` of slices that were cut beforehand.

    Attributes:
        driver: the fake driver that it works on.
        strategy: how it offers slices.
    """

    static = True

    def __init__(
        self, node: Node, name: str, program: Program, arguments: Sequence[object], driver: FakeDriver,
        strategy: Strategy,
    ) -> None:  # fmt: skip
        """As `Part`."""
        super().__init__(node, name, program, arguments, {**driver.environment(), "NODE_NAME": node.name})
        self.driver = driver
        self.strategy: Strategy = strategy

    def offers(self) -> dict[str, int]:
        """As `offered`."""
        return offered(self.driver, self.strategy)

    def after_start(self) -> None:
        """What it offers tells."""

    def after_kubelet(self) -> Callable[[], bool]:
        """It registers every resource anew; the node's status may be of before the restart, so that it cannot tell.

        A pod that comes before the plugin fails for good.
        """
        wanted = self.registrations() + len(self.offers())
        return lambda: self.registrations() >= wanted

    def await_ready(self) -> None:
        """Wait until it has registered; raises as `Part`'s."""
        what = f"{self.name} to register with the kubelet"
        wait(self.registrations, bool, what=what, timeout=READY_SECONDS, delay=0.05)

    def registrations(self) -> int:
        """How often it has registered a resource with the kubelet since it was started last."""
        self.refuse_death()
        lines = self._process.tail(400) if self._process is not None else []
        return sum("Registered device plugin" in line for line in lines)


@contextmanager
def device_plugin(
    node: Node,
    driver: FakeDriver,
    *,
    strategy: Strategy | None = "mixed",
    lists: Lists = "envvar",
    config: Mapping[str, Any] | None = None,
    name: str = "nvidia-device-plugin",
    assets: Assets | None = None,
) -> Generator[DevicePlugin]:
    """Run the device plugin on `node` for the length of a `with` block.

    Args:
        node: a running node.
        driver: the node's fake driver; its `proc` is mounted at the node's /proc/driver.
        strategy: MIG strategy; None leaves it to `config`, above which an option would stand.
        lists: how containers are told.
        config: the plugin's configuration file (version v1) beyond options, such as `{"sharing": {...}}`.
        name: of its process on the node.
        assets: choose its version; the cluster's if None.

    Raises:
        ClusterError: it ends at once; its last word is the message.
        gpuassay.toolchain.errors.ToolchainError: the program cannot be had.
        gpuassay.waiting.WaitTimeout: it does not register with the kubelet.
    """
    arguments: list[object] = [*_strategy(strategy), f"--device-list-strategy={lists}", *_roots(driver)]
    if lists == "cdi-cri":
        arguments.append(f"--nvidia-cdi-hook-path={driver.hook}")
    if config is not None:
        file = config_file(driver, config, name)
        arguments.append(f"--config-file={file}")
    program = upstream(node, COMPONENT, "nvidia-device-plugin", assets)
    with DevicePlugin(node, name, program, arguments, driver, strategy or "mixed").running() as plugin:
        yield plugin


def config_file(driver: FakeDriver, config: Mapping[str, Any], name: str = "nvidia-device-plugin") -> Path:
    """Write a configuration (version v1) for the process `name`, in place of an older one; its path.

    A running device plugin reads it again on SIGHUP.
    """
    file = driver.root.parent / f"{name}.json"  # JSON is YAML
    file.write_text(json.dumps({"version": "v1", **config}))
    return file


def _strategy(strategy: Strategy | None) -> list[object]:
    return [] if strategy is None else [f"--mig-strategy={strategy}"]


def _roots(driver: FakeDriver) -> list[object]:
    return [f"--driver-root={driver.root}", f"--driver-root-ctr-path={driver.root}"]


def feature_labels(
    node: Node, driver: FakeDriver, *, strategy: Strategy | None = "mixed", config: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The node labels that GPU feature discovery finds for the GPUs as they are now; it is run once.

    `strategy` and `config` are as `device_plugin` takes them.

    Raises:
        ClusterError: it fails; its last words are the message.
        gpuassay.toolchain.errors.ToolchainError: the program cannot be had.
    """
    folder = driver.root.parent
    output = folder / "features.txt"
    output.unlink(missing_ok=True)
    machine = folder / "machine-type"
    machine.write_text("gpuassay\n")
    program = programs(COMPONENT, node.cluster.assets).path("gpu-feature-discovery")
    options: list[object] = _strategy(strategy)
    if config is not None:
        options.append(f"--config-file={config_file(driver, config, 'gpu-feature-discovery')}")
    settings = [f"{key}={value}" for key, value in {**driver.environment(), "NODE_NAME": node.name}.items()]
    node.call(
        "/usr/bin/env", *settings, program, *map(str, options), "--oneshot", "--no-timestamp",
        f"--output-file={output}", f"--machine-type-file={machine}", f"--driver-root-ctr-path={driver.root}",
    )  # fmt: skip
    pairs = (line.split("=", 1) for line in output.read_text().splitlines() if "=" in line)
    return {key: value for key, value in pairs}


def publish(node: Node, labels: Mapping[str, str]) -> None:
    """Put labels onto the node, in place of older ones of GPU feature discovery; as node feature discovery would."""
    found = node.object() or {}
    old: dict[str, Any] = {
        key: None for key in found.get("metadata", {}).get("labels", {}) if key.startswith("nvidia.com/")
    }
    node.cluster.api.patch("Node", node.name, {"metadata": {"labels": {**old, **labels}}})
