"""Kueue's minimal manager for performance tests on a control plane of our own, as Kueue's runner starts it.

Core controllers and scheduler only: no webhooks, no job integrations, CRDs as they lie in the module.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.environment import inherited
from gpuassay.manifest import Manifest
from gpuassay.record.live import LiveView
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import KUEUE, Resource
from gpuassay.scratch import scratch
from gpuassay.systems.kueue.acts.workload_driver import Mimic
from gpuassay.systems.kueue.component.installation import MODULE
from gpuassay.systems.kueue.objects import mixes
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.mixes import Generated
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait

NAME = "minimalkueue"
CRDS = "config/components/crd/bases"
GENERATOR = "test/performance/scheduler/configs/baseline/generator.yaml"

WORKLOAD_PATHS = (
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("Workload", f"{KUEUE}/workloads", optional=True),
    Resource("ClusterQueue", f"{KUEUE}/clusterqueues", optional=True),
    Resource("LocalQueue", f"{KUEUE}/localqueues", optional=True),
)
"""What a run of Workload objects needs recorded."""


@dataclass
class Minimal:
    """A control plane with the minimal manager and a recorder."""

    cluster: Cluster
    view: LiveView


def generator_document(assets: Assets | None = None) -> Manifest:
    """Kueue's baseline generator configuration, from the module directory."""
    found: Manifest = yaml.safe_load((toolchain.module_dir("kueue", MODULE, assets) / GENERATOR).read_text())
    return found


@contextmanager
def minimal(directory: Path, assets: Assets | None = None) -> Generator[Minimal]:
    """Run control plane, manager and recorder for the length of a `with` block.

    Raises:
        ClusterError: something cannot be started.
        gpuassay.toolchain.errors.ToolchainError: the programs cannot be had.
    """
    programs = toolchain.programs("kueue-perf", assets)
    files = sorted((toolchain.module_dir("kueue", MODULE, assets) / CRDS).glob("*.yaml"))
    crds: list[Manifest] = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    with ExitStack() as stack:
        cluster = stack.enter_context(
            embedded(directory=directory, assets=assets, nodes=0, audit=False, performance=True)
        )
        side_by_side(cluster.api.apply, crds)
        wait(lambda: _unserved(cluster, crds), lambda left: not left, what="Kueue's CRDs to be served", timeout=120)
        view = stack.enter_context(live_recorder(cluster.kubeconfig, directory / "spool", resources=WORKLOAD_PATHS))
        log = directory / "logs" / f"{NAME}.log"
        cluster.supervisor.start(NAME, [programs.path(NAME), f"--kubeconfig={cluster.kubeconfig}"], log)
        yield Minimal(cluster, view)


def _unserved(cluster: Cluster, crds: Sequence[Manifest]) -> list[str]:
    """CRDs that discovery does not tell of yet: the manager looks there once, at its start, and gives up."""
    left: list[str] = []
    for crd in crds:
        stored = next(version["name"] for version in crd["spec"]["versions"] if version["storage"])
        plural = str(crd["spec"]["names"]["plural"])
        try:
            told: Manifest = json.loads(cluster.api.raw(f"/apis/{crd['spec']['group']}/{stored}"))
        except ApiRefused:
            told = {}
        if plural not in {one["name"] for one in told.get("resources", [])}:
            left.append(plural)
    return left


def drive(on: Minimal, generated: Generated, token: str, timeout: float) -> Mimic:
    """Make the generator's queues and drive its Workloads with our driver.

    Raises:
        ClusterError: not all were finished in `timeout` seconds, or a request failed.
    """
    api = on.cluster.api
    names = [queue.name for queue in generated.queues]
    on.view.register(token, names)
    flavor = "rf"
    api.create(kueue.resource_flavor(flavor))
    side_by_side(api.create, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    side_by_side(api.create, [mixes.generated_queue(queue, flavor, token) for queue in generated.queues])
    side_by_side(api.create, [kueue.local_queue(name, name, f"{name}-{token}") for name in names])
    driver = Mimic(api, on.view, generated, lambda queue: queue, api.create)

    def alive(_done: int, _of: int) -> None:
        if death := on.cluster.component_died():
            raise death

    if not driver.run(timeout, alive):
        raise ClusterError(f"our driver did not finish in {timeout:g} s: {driver.problems[:1]}")
    return driver


def run_upstream(on: Minimal, document: Manifest, generated: Generated, token: str, timeout: float) -> None:
    """Have Kueue's own runner do the same on the same control plane.

    Raises:
        ClusterError: it failed; the message is its last line.
    """
    programs = toolchain.programs("kueue-perf", on.cluster.assets)
    on.view.register(token, [queue.name for queue in generated.queues])
    with scratch("runner") as place:
        configuration = place / "generator.yaml"
        configuration.write_text(yaml.safe_dump(document))
        done = subprocess.run(
            [
                programs.path("runner"), "--o", str(place), "--generatorConfig", str(configuration),
                "--timeout", f"{timeout:.0f}s",
            ],
            # without PROJECT_DIR it looks for a Makefile and panics
            env=inherited() | {"KUBECONFIG": str(on.cluster.kubeconfig), "PROJECT_DIR": f"{place}/x"},
            capture_output=True, text=True, timeout=timeout + 120, check=False,
        )  # fmt: skip
        if done.returncode != 0 or not (place / "summary.yaml").exists():
            raise ClusterError(f"Kueue's runner failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
