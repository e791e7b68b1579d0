"""A stand-in for the program `kind`: its clusters are like a user's, without Docker. Named so wherever it is used.

    kind_standin.py create cluster --name N --kubeconfig FILE --wait 300s
    kind_standin.py get clusters
    kind_standin.py load image-archive ARCHIVE --name N
    kind_standin.py delete cluster --name N --kubeconfig FILE

What it is asked stands in `asked` beside `$KIND_STANDIN`, a folder; a file `refuses` there is what it refuses with.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(os.environ.get("KIND_STANDIN", ""))


def create(name: str, kubeconfig: Path) -> None:
    """A cluster in a process of its own, which outlives this one."""
    folder = HERE / name
    folder.mkdir()
    words = os.environ.get("KIND_STANDIN_UP", "--like-yours --nodes 1").split()
    command = [sys.executable, "-m", "gpuassay", "up", *words, "--directory", str(folder / "cluster")]
    with (folder / "log").open("w") as log:
        up = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    (folder / "pid").write_text(str(up.pid))
    deadline = time.monotonic() + 300
    while "ready after" not in (folder / "log").read_text():
        if up.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"ERROR: failed to create cluster: {(folder / 'log').read_text()[-300:]}")
        time.sleep(0.1)
    kubeconfig.write_text((folder / "cluster" / "kubeconfig").read_text())


def delete(name: str) -> None:
    """Ends it; one that there is not is fine."""
    place = HERE / name / "pid"
    if not place.exists():
        return
    pid = int(place.read_text())
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.1)
    place.unlink()


def main(words: list[str]) -> None:
    """Be kind."""
    with (HERE / "asked").open("a") as file:
        file.write(" ".join(words) + "\n")
    if (HERE / "refuses").exists():
        sys.exit((HERE / "refuses").read_text())
    name = words[words.index("--name") + 1] if "--name" in words else ""
    if words[0] == "create":
        create(name, Path(words[words.index("--kubeconfig") + 1]))
    elif words[0] == "delete":
        delete(name)


if __name__ == "__main__":
    main(sys.argv[1:])
