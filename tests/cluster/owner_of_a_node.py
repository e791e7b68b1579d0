"""A process that owns a real node on a control plane of somebody else, for the tests that kill it.

python -m tests.cluster.owner_of_a_node FOLDER CONTROL_PLANE_FOLDER

Says `begun`, the steps of the node's life, and `stopped`; FOLDER is empty or new.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.node.real import real_node
from gpuassay.manifest import dig
from gpuassay.waiting import wait
from gpuassay.workloads import containers


def say(what: str) -> None:
    print(what, flush=True)


@contextmanager
def node_with_a_pod(folder: Path, control: Path) -> Generator[None]:
    """A real node in `folder` on the control plane in `control`, whose pod runs; says how far it is."""
    (folder / "logs").mkdir(parents=True)
    (folder / "pki").symlink_to(control / "pki")
    kubeconfig = control / "kubeconfig"
    api = Api.from_kubeconfig(kubeconfig, direct=True)
    cluster = Cluster(folder.name, "embedded", kubeconfig, api, folder, frozenset())
    with real_node(cluster, folder.name) as node:
        say("ready")
        api.create(containers.pod(folder.name, "default", ("serve", 8080), ("wait",), node=node.name))

        def phase() -> str:
            return str(dig(api.get("Pod", folder.name, "default") or {}, "status", "phase", default=""))

        wait(phase, lambda seen: seen == "Running", what="the pod to run", timeout=60)
        say("running")
        yield
        say("stopping")
    say("stopped")


def main() -> None:
    say("begun")
    with node_with_a_pod(Path(sys.argv[1]), Path(sys.argv[2])):
        sys.stdin.readline()


if __name__ == "__main__":
    main()
