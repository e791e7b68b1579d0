"""A process that owns a routing arm, for the test that kills it: says when it is up and what runs, and waits.

python -m tests.cluster.owner_of_an_arm FOLDER KUBECONFIG
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.components.llmd.arm import Arm
from gpuassay.components.llmd.routing import routing
from tests.cluster.test_llmd import programs_of


def main() -> None:
    folder, kubeconfig = Path(sys.argv[1]), Path(sys.argv[2])
    api = Api.from_kubeconfig(kubeconfig, direct=True)
    # somebody else's control plane is enough here: only what the arm itself starts must not outlive us
    cluster = Cluster("borrowed", "embedded", kubeconfig, api, folder, frozenset({base.CONTROL_PLANE}))
    with routing(cluster, folder, "owned", Arm(replicas=2)) as up:
        print("up", *programs_of(up), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
