"""NVIDIA's DRA driver with dynamic MIG on fake GPUs of a real node: slices are cut when a claim is prepared.

Driver logic is unmodified; two of its dependencies are replaced (`toolchain/modules/nvidia-dra/go.mod`), which every
report names. Sources: the driver's Helm chart (flags, device classes) and its feature gate DynamicMIG.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from gpuassay.cluster.node.real import Node
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.component.device_plugin import resource
from gpuassay.systems.slices.component.fake_driver import FakeDriver
from gpuassay.systems.slices.component.program import READY_SECONDS, Part, Program, upstream
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait

COMPONENT = "nvidia-dra"
DRIVER = "gpu.nvidia.com"
REGISTERED = re.compile("plugin_?registered: *true|NodeWatchResources", re.IGNORECASE)
"""In the driver's log, which tells this once, a second after its start (in the spelling of its protobuf library): on a
slow machine before the kubelet has come, whose first request after that is for the devices' health."""
PLUGIN_FOLDER = f"/var/lib/kubelet/plugins/{DRIVER}"


def device_classes(profiles: Iterable[str]) -> list[Manifest]:
    """DeviceClasses of the driver, and one of each MIG profile.

    The class of a profile serves pods that ask for `nvidia.com/mig-<profile>` without a claim
    (`extendedResourceName`), so that the same manifest works as with a device plugin.
    """
    kinds = [_class(DRIVER, "device.attributes['gpu.nvidia.com'].type == 'gpu'")]
    kinds.append(_class("mig.nvidia.com", "device.attributes['gpu.nvidia.com'].type == 'mig'"))
    for profile in profiles:
        name = f"mig-{profile.replace('+', '.')}.nvidia.com"
        where = f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
        kinds.append(_class(name, f"device.attributes['gpu.nvidia.com'].type == 'mig' && {where}", resource(profile)))
    return kinds


def _class(name: str, expression: str, extended: str | None = None) -> Manifest:
    spec: Manifest = {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}' && {expression}"}}]}
    if extended:
        spec["extendedResourceName"] = extended
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


def resource_slices(node: Node, driver: str = DRIVER) -> list[Manifest]:
    """ResourceSlices that `driver` published for `node`."""
    found = node.cluster.api.list("ResourceSlice")
    return [
        one for one in found if dig(one, "spec", "driver") == driver and dig(one, "spec", "nodeName") == node.name
    ]  # fmt: skip


def complete(slices: Iterable[Manifest]) -> bool:
    """Whether every pool of `slices` has as many as it says, all of one generation."""
    pools: dict[str, list[Manifest]] = {}
    for one in slices:
        pools.setdefault(dig(one, "spec", "pool", "name"), []).append(one)
    return bool(pools) and all(
        len(ones) == dig(ones[0], "spec", "pool", "resourceSliceCount")
        and len({dig(one, "spec", "pool", "generation") for one in ones}) == 1
        for ones in pools.values()
    )


class DraDriver(Part):
    """A running DRA driver: a `Partitioner` that cuts on demand.

    Attributes:
        driver: its name in ResourceSlices and claims.
    """

    static = False

    def __init__(
        self, node: Node, name: str, program: Program, arguments: Sequence[object], env: Mapping[str, str], driver: str
    ) -> None:
        """As `Part`."""
        super().__init__(node, name, program, arguments, env)
        self.driver = driver

    @contextmanager
    def running(self) -> Generator[Self]:
        """As `Part`; its ResourceSlices, which it leaves, are deleted: nothing must be allocated from them."""
        try:
            with super().running():
                yield self
        finally:
            for one in resource_slices(self.node, self.driver):
                self.node.cluster.api.delete("ResourceSlice", one["metadata"]["name"])

    def await_ready(self) -> None:
        """Wait until its ResourceSlices are complete and the kubelet knows it; raises as `Part`'s."""

        def ready() -> bool:
            self.refuse_death()
            return complete(resource_slices(self.node, self.driver)) and self.registered()

        wait(ready, bool, what=f"{self.name} to publish its devices", timeout=READY_SECONDS, delay=0.05)

    def offers(self) -> dict[str, int]:
        """None: slices are devices of ResourceSlices."""
        return {}

    def after_start(self) -> Callable[[], bool]:
        """It says once, a second after its start, how far its registration is."""
        before = len(self.log.read_text())
        return lambda: "registration status" in self.log.read_text()[before:]

    def after_kubelet(self) -> None:
        """A kubelet finds the driver's socket by itself, and goes on."""

    def registered(self) -> bool:
        """Whether the kubelet has taken its registration of the latest start."""
        return self._process is not None and any(REGISTERED.search(line) for line in self._process.tail(2000))


@contextmanager
def dra_driver(
    node: Node,
    driver: FakeDriver,
    *,
    gates: Mapping[str, bool] | None = None,
    name: str = "nvidia-dra-driver",
    assets: Assets | None = None,
) -> Generator[DraDriver]:
    """Run the DRA driver on `node`, with device classes of all profiles of its GPUs, for a `with` block.

    Args:
        node: a running node.
        driver: the node's fake driver; its `proc` is mounted at the node's /proc/driver.
        gates: feature gates of the driver; DynamicMIG alone if None.
        name: of its process on the node.
        assets: choose its version; the cluster's if None.

    Raises:
        ClusterError: it ends at once; its last word is the message.
        gpuassay.toolchain.errors.ToolchainError: the program cannot be had.
        gpuassay.waiting.WaitTimeout: it does not become ready.
    """
    chosen = {"DynamicMIG": True} if gates is None else dict(gates)
    for kind in device_classes(dict.fromkeys(one.name for model in driver.silicon.models for one in model.profiles)):
        node.cluster.api.apply(kind)
    node.paths.at(PLUGIN_FOLDER).mkdir(parents=True, exist_ok=True)
    arguments: list[object] = [
        f"--kubeconfig={node.kubeconfig}", f"--node-name={node.name}", "--namespace=default", "--cdi-root=/var/run/cdi",
        f"--nvidia-driver-root={driver.root}", f"--container-driver-root={driver.root}",
        f"--nvidia-cdi-hook-path={driver.hook}", "--image-name=unused", "--kube-api-qps=50", "--kube-api-burst=100",
        "--healthcheck-port=-1", "-v=4",
        "--feature-gates=" + ",".join(f"{gate}={str(on).lower()}" for gate, on in chosen.items()),
    ]  # fmt: skip
    # ALT_PROC_DEVICES_PATH is upstream's own switch for a mock NVML.
    env = {**driver.environment(), "ALT_PROC_DEVICES_PATH": str(driver.character_devices)}
    program = upstream(node, COMPONENT, "gpu-kubelet-plugin", assets)
    with DraDriver(node, name, program, arguments, env, DRIVER).running() as part:
        yield part
