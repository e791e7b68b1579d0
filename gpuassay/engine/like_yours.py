"""A cluster as users have one, on this machine: what is judged on it is reached by nothing but its kubeconfig."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.whole.busybox import busybox
from gpuassay.cluster.whole.cluster import whole_cluster
from gpuassay.cluster.whole.logins import logins
from gpuassay.system import systems
from gpuassay.toolchain import Assets
from gpuassay.toolchain.progress import Say, silent

NODES = 2


@contextmanager
def like_yours(
    *,
    directory: Path,
    nodes: int = NODES,
    gpus: Sequence[str] = (),
    mig: Sequence[str] = (),
    assets: Assets | None = None,
    emulated_version: str | None = None,
    private: Path | None = None,
    say: Say = silent,
) -> Generator[Cluster]:
    """Run a whole cluster whose pods can pull the images of all systems, for the length of a `with` block. Root only.

    Args:
        directory: an empty or new folder for its files.
        nodes: how many.
        gpus: models of the fake GPUs of each node, such as `("a100-40gb",) * 8`.
        mig: how they are cut beforehand, GPU by GPU, such as `("all-balanced",)`; `("none",)`: MIG mode is on and
            nothing is cut; nothing: MIG mode is off.
        assets: folders with programs that are taken instead of built ones, by component.
        emulated_version: Kubernetes minor version whose API is imitated, such as "1.35".
        private: file with credentials, as docker writes it: the registries that it names serve every image, under
            their own names, to pods with these credentials only.
        say: is told what is fetched or built.

    Raises:
        ClusterError, ToolchainError, gpuassay.waiting.WaitTimeout: as `whole_cluster`.
        ValueError: an unknown GPU model, or slices that do not fit.
    """
    used = assets or Assets()
    asked = logins(private) if private else None
    sources = [busybox(say), *(source for one in systems().values() for source in one.images(used))]
    makers = [one.gpu_kit for one in systems().values() if one.gpu_kit] if gpus else []
    folder = directory.absolute()
    numbers = range(1, nodes + 1)
    kits = [make(folder / "gpus" / f"node-{number}", gpus, mig) for number in numbers for make in makers]
    with whole_cluster(
        directory=folder,
        nodes=nodes,
        assets=assets,
        sources=sources,
        kits=kits,
        emulated_version=emulated_version,
        logins=asked,
    ) as cluster:
        yield cluster
