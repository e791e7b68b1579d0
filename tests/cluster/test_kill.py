"""Whatever kills the owner of a cluster, nothing of the cluster is left: no process, no port."""

from __future__ import annotations

import os
import random
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay.waiting import wait

MOMENTS = 10
SPAN = 4.0
"""Seconds of a start in which the killing moments are spread."""


def members(folder: Path) -> list[str]:
    """Living processes that carry `folder` in their command line."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(f"{entry.name} {words}")
    return found


def listening() -> set[int]:
    """Ports of this machine that are listened on (proc_net_tcp, state 0A)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(fields[1].split(":")[1], 16) for fields in map(str.split, lines) if fields[3] == "0A"}


def ports_of(folder: Path) -> set[int]:
    """Loopback ports that the command lines of the folder's processes name."""
    words = " ".join(members(folder))
    kubeconfig = folder / "kubeconfig"
    text = words + (kubeconfig.read_text() if kubeconfig.exists() else "")
    return {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}


def killed_at(folder: Path, what: str, seconds: float) -> set[int]:
    """Start an owner, kill it `seconds` after it began (or once it is up, if that is sooner); ports that it had."""
    command = [sys.executable, "-m", "tests.cluster.owner", str(folder), what]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, start_new_session=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"begun\n"
        select.select([owner.stdout], [], [], seconds)
        had = ports_of(folder)
        owner.kill()
    return had


def assert_nothing_left(folder: Path, had: set[int]) -> None:
    def left() -> list[str]:
        return members(folder) + [f"port {port}" for port in listening() & had]

    wait(left, lambda found: not found, what="all processes and ports of the cluster to be gone", timeout=5)


@pytest.mark.usefixtures("programs")
def test_kill_minus_nine_at_random_moments_leaves_nothing(tmp_path: Path) -> None:
    dice = random.Random(20261121)
    moments = sorted(dice.uniform(0, SPAN) for _ in range(MOMENTS))
    with_ports = 0
    for number, moment in enumerate(moments):
        folder = tmp_path / f"owner-{number}"
        had = killed_at(folder, "store", moment)
        with_ports += bool(had)
        assert_nothing_left(folder, had)
    assert with_ports >= MOMENTS // 2, "most moments were too early to prove anything"


@pytest.mark.usefixtures("programs")
def test_kill_minus_nine_of_a_whole_cluster_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "owner"
    had = killed_at(folder, "all", 60)
    assert len(had) >= 2
    assert_nothing_left(folder, had)
