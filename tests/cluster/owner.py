"""A process that owns a cluster, for the tests that kill it: says when it begins, when it is up, and waits.

python -m tests.cluster.owner FOLDER store|all
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster import embedded as parts
from gpuassay.cluster.process import Supervisor


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    print("begun", flush=True)
    if what == "all":
        with parts.embedded(directory=folder):
            print("up", flush=True)
            threading.Event().wait()
    # only what is started first and holds ports: cheap enough to be killed often
    control = toolchain.programs("controlplane")
    files = parts.Files(folder)
    pki = parts.make_pki(files.pki)
    parts.start_store_and_api(control, files, pki, Supervisor(), parts.Options(), "owned")
    print("up", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
