"""kube-proxy on a node: upstream's, in nftables mode, in the node's own network namespace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gpuassay import toolchain
from gpuassay.cluster.base import Component
from gpuassay.cluster.certificates import issue_client
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.kubeconfig import server_of, write_kubeconfig
from gpuassay.cluster.node.real import Node
from gpuassay.toolchain import native
from gpuassay.toolchain.native import Tool
from gpuassay.toolchain.progress import say_on_stderr
from gpuassay.waiting import wait

COMPONENT = "kube-proxy"
IDENTITY, GROUP = "system:kube-proxy", "system:node-proxier"
"""Kubernetes' built-in binding gives its rights to the user of this name."""
TABLE = "kube-proxy"
"""nftables table that it keeps its rules in."""
READY_SECONDS = 60.0


class Proxies:
    """Starts a kube-proxy on each node of a cluster.

    Raises:
        ToolchainError: kube-proxy or `nft` cannot be had.
    """

    def __init__(self, assets: toolchain.Assets | None) -> None:
        """Have the programs."""
        self._programs = toolchain.programs(COMPONENT, assets)
        self._nft: Tool = native.tool("nft", say_on_stderr)

    def component(self) -> Component:
        """For reports."""
        return Component.of(self._programs, COMPONENT)

    @property
    def folders(self) -> list[Path]:
        """Where the programs lie."""
        return [self._programs.path(COMPONENT).parent, self._nft.path.parent, *self._nft.libraries]

    def start(self, node: Node) -> None:
        """Start it; `await_rules` tells when Services have addresses."""
        folder, name = node.cluster.directory, f"proxy-{node.name}"
        pki = folder / "pki"
        access = write_kubeconfig(
            folder / f"kubeconfig-{name}", server_of(node.cluster.kubeconfig), pki / "ca.crt", IDENTITY,
            issue_client(pki, name, IDENTITY, GROUP), node.cluster.name,
        )  # fmt: skip
        file = folder / f"{name}.json"
        file.write_text(json.dumps(_configuration(node.name, access)))
        node.call("sysctl", "-w", "net.ipv4.ip_forward=1")  # of the node's own network namespace
        command = [self._programs.path(COMPONENT), f"--config={file}", "--v=1"]
        node.run(COMPONENT, command, self._environment())

    def await_rules(self, node: Node) -> None:
        """Wait until the first rules are there.

        Raises:
            ClusterError: the kernel refuses nftables, or kube-proxy ended.
            gpuassay.waiting.WaitTimeout: they do not come.
        """
        process = node.cluster.processes[f"{node.name}-{COMPONENT}"]

        def look() -> bool:
            if death := process.death():
                raise death
            try:
                return TABLE in node.call(self._nft.path, "list", "tables", env=self._environment())
            except ClusterError as error:
                raise ClusterError(f"Services need nftables in the kernel (module nf_tables): {error}") from error

        wait(look, bool, what=f"kube-proxy's rules on node {node.name}", timeout=READY_SECONDS, delay=0.1)

    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        found = {"PATH": f"{self._nft.path.parent}:{path}"}
        if self._nft.libraries:
            found["LD_LIBRARY_PATH"] = ":".join(map(str, self._nft.libraries))
        return found


def _configuration(node: str, access: Path) -> dict[str, Any]:
    """KubeProxyConfiguration; what is zero would write to the host's connection tracking."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node,
        "bindAddress": "0.0.0.0",  # of the node's own network namespace
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(access)},
        "nftables": {"syncPeriod": "30s", "minSyncPeriod": "0s"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
