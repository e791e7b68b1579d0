"""A process that owns a routing arm, for the test that kills it: says when it is up and what runs, and waits.

python -m tests.cluster.owner_of_an_arm FOLDER KUBECONFIG [GATEWAY]
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.systems.llmd.component.deployment import routing
from gpuassay.systems.llmd.component.spec import Arm
from tests.cluster.test_llmd import programs_of


def main() -> None:
    folder, kubeconfig = Path(sys.argv[1]), Path(sys.argv[2])
    api = Api.from_kubeconfig(kubeconfig, direct=True)
    # somebody else's control plane is enough here: only what the arm itself starts must not outlive us
    cluster = Cluster("borrowed", "embedded", kubeconfig, api, folder, frozenset({base.CONTROL_PLANE}))
    gateway = sys.argv[3] if len(sys.argv) > 3 else "override-host"
    with routing(cluster, folder, f"owned-{gateway}", Arm(replicas=2, gateway=gateway)) as up:
        control = up.istio.istiod.child.process if gateway == "istio" else None
        print("up", *programs_of(up), *([control.pid] if control else []), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
