"""A control plane of our own: etcd, kube-apiserver, controller manager, scheduler and KWOK as child processes.

No root, loopback only, gone with this process. Only the kubelet and what it would run are not real: KWOK plays nodes
and pods by the stages in `manifests/kwok/stages.yaml`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gpuassay import resources, toolchain
from gpuassay.cluster import audit, base, flags
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.cluster.certificates import Pki, make_pki
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.flags import Options
from gpuassay.cluster.kubeconfig import write_kubeconfig
from gpuassay.cluster.ports import free_ports, taken
from gpuassay.cluster.process import Supervisor
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait

STAGES = resources.MANIFESTS / "kwok" / "stages.yaml"

READY_TIMEOUT = 90.0
"""Seconds for every step of the start; an idle machine needs two."""
PORT_ATTEMPTS = 5
PROBE = (1, 5)
"""Seconds to connect and to answer while starting: who took our port may never answer."""

RUNTIME = {"GOGC": "300"}
"""Environment of the control plane: to collect garbage a third as often costs memory, which there is, and saves CPU
time, which is what small machines lack. Systems under test run with their defaults."""

_serial = itertools.count(1)

EMULATED: list[Emulated] = [
    {
        "what": "nodes and kubelets",
        "by": "KWOK",
        "means": "nodes are API objects that are kept Ready; GPUs are numbers in their status",
    },
    {
        "what": "running of containers",
        "by": "KWOK",
        "means": "nothing runs: run time, start delay, readiness and exit code of a pod come from its annotations",
    },
]


@dataclass
class Files:
    """Where a cluster keeps its files: `root` and what is below it."""

    root: Path

    def __post_init__(self) -> None:
        self.logs, self.work, self.pki = self.root / "logs", self.root / "work", self.root / "pki"
        self.etcd = self.root / "etcd"
        for folder in (self.logs, self.work, self.pki):
            folder.mkdir(parents=True, exist_ok=True)

    def log(self, name: str) -> Path:
        """Log file of a program."""
        return self.logs / f"{name}.log"

    def kubeconfig(self, identity: str) -> Path:
        """Kubeconfig of an identity."""
        return self.root / ("kubeconfig" if identity == "admin" else f"kubeconfig-{identity}")


def start_store_and_api(
    control: toolchain.Programs, files: Files, pki: Pki, supervisor: Supervisor, options: Options, name: str
) -> tuple[Api, dict[str, Path]]:
    """Start etcd and the API server together, on other ports when one was lost to somebody."""
    policy = audit.write_policy(files.root / "audit-policy.json")
    for attempt in range(1, PORT_ATTEMPTS + 1):
        client_port, peer_port, api_port = free_ports(3)
        server = f"https://127.0.0.1:{api_port}"
        kubeconfigs = {
            identity: write_kubeconfig(files.kubeconfig(identity), server, pki.ca.certificate, identity, pair, name)
            for identity, pair in pki.clients.items()
        }
        store = flags.etcd(control.path("etcd"), files.etcd, client_port, peer_port)
        supervisor.start("etcd", store, files.log("etcd"), cwd=files.work, env=RUNTIME)
        serve = flags.apiserver(
            control.path("kube-apiserver"), pki, api_port, client_port, files.work, options, policy,
            files.root / "audit.jsonl",
        )  # fmt: skip
        supervisor.start("kube-apiserver", serve, files.log("kube-apiserver"), cwd=files.work, env=RUNTIME)
        api = Api.from_kubeconfig(kubeconfigs["admin"], direct=True)
        lost = _wait_ready(api, supervisor)
        if not lost:
            return api, kubeconfigs
        api.close()
        supervisor.stop("kube-apiserver", "etcd", grace=0)
        supervisor.forget("kube-apiserver")
        supervisor.forget("etcd")
        shutil.rmtree(files.etcd, ignore_errors=True)
        if attempt == PORT_ATTEMPTS:
            raise ClusterError(f"the control plane lost its ports to other programs {attempt} times in a row")
    raise AssertionError("unreachable")


def _wait_ready(api: Api, supervisor: Supervisor) -> bool:
    """Wait for /readyz; True when a port was lost and the start must be repeated."""

    def look() -> str:
        for name in ("etcd", "kube-apiserver"):
            process = supervisor.processes[name]
            if not process.alive:
                death = process.death()
                if taken(process.tail(200)):
                    return "port lost"
                raise death if death else ClusterError(f"{name} ended while it was starting")
        try:
            return api.raw("/readyz", timeout=PROBE)
        except ClusterError as e:
            return f"not ready: {e}"

    done = ("ok", "port lost")
    answer = wait(look, done.__contains__, what="the API server to be ready", timeout=READY_TIMEOUT, delay=0.03)
    return answer == "port lost"


def replace_control_plane(cluster: Cluster, assets: Assets) -> None:
    """Put another Kubernetes in the place of a cluster's, over the same etcd, which stays as it is.

    In the order of Kubernetes' version skew policy: the API server, then controller manager and scheduler, which work
    on against the new API server until it is their turn. There is one of each, so the API is away for a moment.

    Raises:
        ClusterError: the new API server does not start; the message is its own complaint.
        gpuassay.waiting.WaitTimeout: it is not ready in time.
        gpuassay.toolchain.ToolchainError: the version cannot be had.
    """
    control = toolchain.programs("controlplane", assets)
    cluster.supervisor.replace("kube-apiserver", control.path("kube-apiserver"))
    if _wait_ready(cluster.api, cluster.supervisor):
        raise ClusterError("the API server lost its port to another program while it was replaced")
    cluster.api.forget_version()
    for name in ("kube-controller-manager", "kube-scheduler"):
        cluster.supervisor.replace(name, control.path(name), grace=1)
    kube = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    cluster.tell(Component.of(control, name) for name in kube)
    _wait_accounts(cluster.api, cluster.supervisor)


def _wait_accounts(api: Api, supervisor: Supervisor) -> None:
    """Wait for the ServiceAccount that every pod of namespace `default` needs: the controller manager works."""

    def look() -> bool:
        if death := supervisor.death():
            raise death
        with contextlib.suppress(ApiRefused):
            return api.get("ServiceAccount", "default", "default") is not None
        return False

    wait(look, bool, what="ServiceAccount default/default", timeout=READY_TIMEOUT, delay=0.03)


def _stop(cluster: Cluster, files: Files) -> None:
    """Stop in order. An API server whose etcd went first hangs for a minute, so etcd is last."""
    with contextlib.ExitStack() as steps:  # every step is taken whatever an earlier one raises
        steps.callback(shutil.rmtree, files.etcd, ignore_errors=True)
        steps.callback(cluster.supervisor.stop, "etcd", grace=2)
        steps.callback(cluster.supervisor.stop, "kube-apiserver", grace=5)
        steps.callback(cluster.api.close)
        steps.callback(cluster.supervisor.stop, "kwok", "kube-controller-manager", "kube-scheduler", grace=1)
        while cluster.stop_actions:
            steps.callback(cluster.stop_actions.pop(0))


@contextmanager
def embedded(
    *,
    directory: Path,
    assets: Assets | None = None,
    nodes: int = 1,
    gpus: int = 8,
    audit: bool = True,
    performance: bool = False,
    emulated_version: str | None = None,
    feature_gates: Mapping[str, bool] | None = None,
    node_lease_seconds: int | None = None,
    services: bool = False,
    served: Iterable[str] = (),
) -> Generator[Cluster]:
    """Run a cluster for the length of a `with` block.

    Args:
        directory: an empty or new folder for its files; logs and audit log stay there, etcd's data does not.
        assets: folders with programs that are taken instead of built ones, by component.
        nodes: fake nodes to begin with.
        gpus: GPUs of each.
        audit: keep an audit log of writes.
        performance: no request limits in the API server.
        emulated_version: Kubernetes minor version whose API is imitated, such as "1.34".
        feature_gates: Kubernetes feature gates.
        node_lease_seconds: lease of fake nodes; by default 40, and 200 from 200 nodes on.
        services: nodes will have proxies for Services (`gpuassay.cluster.whole`).
        served: API versions that are off by default, such as "scheduling.k8s.io/v1alpha2".

    Raises:
        ClusterError: it cannot be started; ComponentDied with the log's last lines when a program ended.
        gpuassay.waiting.WaitTimeout: a step took too long.
    """
    lease = node_lease_seconds or (200 if nodes >= 200 else 40)
    gates = tuple((feature_gates or {}).items())
    options = Options(audit, performance, emulated_version, gates, lease, services, tuple(served))
    control, fake = toolchain.programs("controlplane", assets), toolchain.programs("kwok", assets)
    files = Files(directory.absolute())
    if files.etcd.exists():
        raise ClusterError(f"{directory} already holds a cluster's data: give an empty folder")
    name = f"embedded-{os.getpid()}-{next(_serial)}"
    supervisor = Supervisor()
    try:
        pki = make_pki(files.pki)
        api, kubeconfigs = start_store_and_api(control, files, pki, supervisor, options, name)
    except BaseException:
        supervisor.stop("kube-apiserver", "etcd", grace=0)
        shutil.rmtree(files.etcd, ignore_errors=True)
        raise
    cluster = Cluster(
        name=name, provider="embedded", kubeconfig=kubeconfigs["admin"], api=api, directory=files.root,
        capabilities=frozenset({
            base.CONTROL_PLANE, base.FAKE_NODES, base.COMPONENT_LOGS, base.RESTART_COMPONENTS, base.CLUSTER_WIDE,
            base.GPU_NODES, *([base.AUDIT_LOG] if audit else []),
        }),
        components=_components(control, fake), emulated=list(EMULATED),
        audit_log=files.root / "audit.jsonl" if audit else None, assets=assets,
        supervisor=supervisor, identities=kubeconfigs,
    )  # fmt: skip
    try:
        for what, argv in (
            ("kube-controller-manager", flags.controller_manager(
                control.path("kube-controller-manager"), pki, kubeconfigs["kube-controller-manager"], options)),
            ("kube-scheduler", flags.scheduler(control.path("kube-scheduler"), kubeconfigs["kube-scheduler"], options)),
            ("kwok", flags.kwok(fake.path("kwok"), kubeconfigs["kwok"], STAGES, options)),
        ):  # fmt: skip
            supervisor.start(what, argv, files.log(what), cwd=files.work, env=RUNTIME)
        _wait_accounts(api, supervisor)
        if nodes:
            cluster.add_nodes(nodes, gpus=gpus, timeout=max(60.0, nodes / 5))
        yield cluster
    finally:
        _stop(cluster, files)


def _components(control: toolchain.Programs, fake: toolchain.Programs) -> list[Component]:
    # the component's version is Kubernetes'; etcd tells its own
    told = subprocess.run(
        [control.path("etcd"), "--version"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    found = re.search(r"\d+\.\d+\.\d+", told)
    store = replace(Component.of(control, "etcd"), version=f"v{found[0]}" if found else "unknown")
    kube = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return [store, *(Component.of(control, name) for name in kube), Component.of(fake, "kwok")]
