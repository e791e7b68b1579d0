"""Programs of a node and their command lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster, Component, Emulated
from gpuassay.toolchain import Assets, Programs
from gpuassay.toolchain.catalogue import NODE

if TYPE_CHECKING:
    from gpuassay.cluster.node.files import Files

EMULATED: Emulated = {
    "what": "the machine of a real node",
    "by": "namespaces of this machine",
    "means": "kubelet, containerd, runc and CNI plugins are real and run real containers; kernel, CPUs and memory are "
    "the host's, images are archives made by gpuassay, no pod reaches a Service address or the world outside",
}


@dataclass(frozen=True)
class Parts:
    """The programs, by component."""

    programs: Mapping[str, Programs]

    @classmethod
    def get(cls, assets: Assets | None) -> Parts:
        """Have them all: from the user, from the cache, or built now.

        Raises:
            UnobtainableError: they must be built and cannot be.
            ToolchainError: a folder that the user named lacks a program, or a build fails.
        """
        return cls({name: toolchain.programs(name, assets) for name in NODE})

    @property
    def folders(self) -> list[Path]:
        """Where they lie."""
        return [path.parent for one in self.programs.values() for path in one.files.values()]

    @property
    def ctr(self) -> Path:
        """Containerd's own client."""
        return self.programs["containerd"].path("ctr")

    @property
    def workload(self) -> Path:
        """Our program for containers."""
        return self.programs["workload"].path("workload")

    @property
    def runc(self) -> Path:
        """The runtime."""
        return self.programs["runc"].path("runc")

    @property
    def plugins(self) -> Path:
        """Folder of the CNI plugins."""
        return self.programs["cni-plugins"].path("bridge").parent

    def environment(self) -> dict[str, str]:
        """What containerd needs: its shim is looked for on PATH."""
        shim = self.programs["containerd"].path("containerd-shim-runc-v2").parent
        return {"PATH": f"{shim}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"}

    def containerd_command(self, files: Files) -> list[str | Path]:
        """Containerd's command line."""
        return [self.programs["containerd"].path("containerd"), "--config", files.containerd]

    def kubelet_command(
        self, files: Files, name: str, address: str, labels: Mapping[str, str], verbosity: int = 2
    ) -> list[str | Path]:
        """The kubelet's command line; labels that it may not give itself are left out (NodeRestriction)."""
        own = ",".join(f"{key}={value}" for key, value in labels.items() if not reserved(key))
        return [
            self.programs["kubelet"].path("kubelet"), f"--config={files.kubelet}", f"--kubeconfig={files.kubeconfig}",
            f"--hostname-override={name}", f"--node-ip={address}", "--root-dir=/var/lib/kubelet",
            "--cert-dir=/var/lib/kubelet/pki", f"--v={verbosity}", *([f"--node-labels={own}"] if own else []),
        ]  # fmt: skip


def reserved(label: str) -> bool:
    """Whether a label is of a domain in which a kubelet may only set a few of its own."""
    domain = label.partition("/")[0] if "/" in label else ""
    return domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))


def describe(cluster: Cluster, parts: Parts) -> None:
    """Have the cluster's reports name the programs, and what of a node is not real; once for all its nodes."""
    programs = parts.programs.values()
    cluster.tell([Component.of(one, name) for one in programs for name in one.files], [EMULATED])
