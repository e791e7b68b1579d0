"""A process that owns a cluster with a routing arm, for the test that kills it: says when it is up and what runs.

python -m tests.cluster.owner_of_an_arm FOLDER
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gpuassay.cluster.embedded import embedded
from gpuassay.components.llmd.arm import Arm
from gpuassay.components.llmd.routing import routing
from tests.cluster.test_llmd import programs_of


def main() -> None:
    folder = Path(sys.argv[1])
    with (
        embedded(directory=folder / "cluster") as cluster,
        routing(cluster, folder / "arm", "owned", Arm(replicas=2)) as up,
    ):
        print("up", *programs_of(up), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
