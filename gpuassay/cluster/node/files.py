"""A node's files: what it is configured by, in a folder that goes when the node goes; logs stay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.certificates import issue_client
from gpuassay.cluster.kubeconfig import server_of, write_kubeconfig
from gpuassay.cluster.node import checks, configuration
from gpuassay.cluster.node.inside import BRIDGE
from gpuassay.cluster.node.parts import Parts
from gpuassay.cluster.node.shell import Addresses


@dataclass(frozen=True)
class Whole:
    """What makes a node one of a whole cluster (`gpuassay.cluster.whole`).

    Its root is an overlay whose changes go with it, pods reach Services, and images are pulled.

    Attributes:
        registry: URL from which all images are pulled, whatever registry their name says.
        shown: folders of this machine that every container sees, by their paths there: what a driver in the kernel
            would show beneath /proc, where nothing but a runtime's hook can mount.
    """

    registry: str
    shown: Mapping[Path, str] = field(default_factory=dict[Path, str])


class Files:
    """Paths of one node.

    Attributes:
        folder: all that goes with the node.
        cgroup: name of its cgroup; says whose it is.
    """

    def __init__(self, cluster: Cluster, name: str, whole: Whole | None = None) -> None:
        """Nothing is written yet."""
        self._whole = whole
        self.folder = folder = cluster.directory / f"node-{name}"
        self._cluster, self._name = cluster, name
        self.cgroup = f"{cluster.name}-{name}"
        self.containerd = folder / "containerd.toml"
        self.kubelet = folder / "kubelet.json"
        self.kubeconfig = folder / "kubeconfig"
        self._network = folder / "cni"

    def log(self, name: str) -> Path:
        """Log file of a program; stays when the node goes."""
        return self._cluster.directory / "logs" / f"{self._name}-{name}.log"

    def spec(self, binds: Mapping[Path, str]) -> dict[str, Any]:
        """What the keeper is told."""
        port = int(self._server().rsplit(":", 1)[1])
        return {
            "name": self._name,
            "folder": str(self.folder),
            "cgroup": self.cgroup,
            "api_port": port,
            "binds": [[str(source), target] for source, target in binds.items()],
            "sealed": self._whole is not None,
        }

    def _server(self) -> str:
        return server_of(self._cluster.kubeconfig)

    def write(self, addresses: Addresses, parts: Parts, settings: Mapping[str, Any]) -> None:
        """Write credentials and configurations for a start with these addresses; `settings` replace the kubelet's."""
        name, pki = self._name, self._cluster.directory / "pki"
        authority = pki / "ca.crt"
        pair = issue_client(pki, f"node-{name}", f"system:node:{name}", "system:nodes")
        write_kubeconfig(self.kubeconfig, self._server(), authority, f"system:node:{name}", pair, self._cluster.name)
        self._network.mkdir(exist_ok=True)
        whole = self._whole
        # packets to Services must pass the node, where their proxy is: on the bridge they would be carried past it
        gateway = addresses.gateway if whole is None else addresses.node
        network = configuration.cni(BRIDGE, addresses.node, gateway, hairpin=whole is not None)
        (self._network / "10-pods.conflist").write_text(json.dumps(network))
        self.containerd.write_text(
            configuration.containerd(
                self.folder / "containerd", parts.plugins, self._network, parts.runc,
                snapshotter="native" if checks.on_overlay(self.folder) else "overlayfs",
                restrict_oom=not checks.may_raise_oom_score(),
                registries=None if whole is None else self._registries(whole.registry),
                base_spec=self._base_spec(parts, whole.shown) if whole is not None and whole.shown else None,
            )
        )  # fmt: skip
        kubelet = configuration.kubelet(addresses.node, authority, self.cgroup) | dict(settings)
        if whole is not None:
            resolver = self.folder / "resolv.conf"
            resolver.write_text(f"nameserver {addresses.node}\n")  # nobody answers there, and says so at once
            # Secrets that a program fills itself (Kueue's certificates) are seen by its pods after a sync
            kubelet |= {"resolvConf": str(resolver), "clusterDomain": "cluster.local", "syncFrequency": "5s"}
        self.kubelet.write_text(json.dumps(kubelet, indent=1))

    def _registries(self, url: str) -> Path:
        """Have every image pulled from `url`, and from nowhere else."""
        folder = self.folder / "registries"
        every = folder / "_default"  # containerd's word for all registries; `server` takes the real one's place
        every.mkdir(parents=True, exist_ok=True)
        host = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
        (every / "hosts.toml").write_text(host)
        return folder

    def _base_spec(self, parts: Parts, shown: Mapping[Path, str]) -> Path:
        """What every container begins with: containerd's own, and a hook that mounts (OCI Runtime Specification)."""
        hook = self.folder / "show"
        mounts = "".join(
            f'[ -d "$bundle/rootfs{at}" ] && mount --bind {source} "$bundle/rootfs{at}"\n'
            for source, at in shown.items()
        )
        found = 'bundle=$(sed -n \'s/.*"bundle":"\\([^"]*\\)".*/\\1/p\')'
        hook.write_text(
            f"#!/bin/sh\n# the runtime tells the container's folder on standard input\n{found}\n{mounts}exit 0\n"
        )
        hook.chmod(0o755)
        told = subprocess.run([parts.ctr, "oci", "spec"], capture_output=True, text=True, timeout=60, check=True).stdout
        file = self.folder / "container.json"
        file.write_text(json.dumps(json.loads(told) | {"hooks": {"createContainer": [{"path": str(hook)}]}}))
        return file
