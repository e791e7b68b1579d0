"""Whatever kills the owner of a real node, and whenever, nothing of the node is left. Root only."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.node import cgroups, checks
from gpuassay.waiting import wait

MOMENTS = 10
NAMESPACES = ("mnt", "net", "pid", "uts", "ipc")
GONE_SECONDS = 15


@pytest.fixture(scope="module")
def control(request: pytest.FixtureRequest) -> Cluster:
    """A control plane, where this machine can have real nodes."""
    if lack := checks.reason():
        pytest.skip(f"needs a real node: {lack}")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster


def processes() -> Iterator[Path]:
    yield from (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())


def namespaces_of(process: Path) -> set[str]:
    try:
        return {os.readlink(process / "ns" / name) for name in NAMESPACES}
    except OSError:
        return set()


def begun_at(process: Path) -> float:
    """When it was started, s since the boot; infinite where it is gone."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.inf
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


@dataclass
class Owner:
    """A process that owns a node, and what the node was seen to have."""

    folder: Path
    control: Path
    namespaces: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.cluster.owner_of_a_node", str(self.folder), str(self.control)]
        root = Path(__file__).parents[2]
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, start_new_session=True
        )
        self.until("begun")

    def until(self, word: str) -> None:
        assert self.popen.stdout is not None
        said = b""
        while said.strip() != word.encode():
            said = self.popen.stdout.readline()
            assert said, f"the owner ended before it said {word}"

    @property
    def mine(self) -> list[Path]:
        """Living processes whose command line names the folder: of the owner, the keeper, and inside."""
        found: list[Path] = []
        for process in processes():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() + b"/" in words or words.endswith(str(self.control).encode() + b"\0"):
                found.append(process)
        return found

    def look(self) -> None:
        """Learn which namespaces the node has."""
        ours = namespaces_of(Path("/proc/self"))
        for process in self.mine:
            self.namespaces |= namespaces_of(process) - ours

    def let_stop(self) -> None:
        """Have it leave its `with` block."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(b"stop\n")
        self.popen.stdin.flush()

    def kill(self) -> None:
        self.look()
        self.close()

    def close(self) -> None:
        self.popen.kill()
        self.popen.communicate()  # waits for its end, and closes the pipes

    def left(self, ended: float = math.inf) -> list[str]:
        """What is still there of the node, which ended at `ended`, s since the boot.

        A namespace of somebody who came later may have the number of one of ours, which is free again.
        """
        name = self.folder.name
        found = [f"process {process}" for process in self.mine]
        inside = [one for one in processes() if namespaces_of(one) & self.namespaces]
        found += [f"process in a namespace {one}" for one in inside if begun_at(one) <= ended]
        for hierarchy in cgroups.hierarchies():
            found += [str(one) for one in hierarchy.at.glob(f"{name}-*")]
        for alias in Path("/sys/class/net").glob("*/ifalias"):
            try:
                found += [f"interface {alias.parent.name}"] if alias.read_text().startswith(f"{name}-") else []
            except OSError:
                continue  # it went this moment
        found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]
        return found + [str(one) for one in self.folder.glob("node-*")]

    def assert_nothing_left(self) -> None:
        ended = time.clock_gettime(time.CLOCK_BOOTTIME)
        wait(lambda: self.left(ended), lambda found: not found, what="all of the node to be gone", timeout=GONE_SECONDS)


@pytest.fixture
def owner(control: Cluster, tmp_path: Path) -> Iterator[Owner]:
    made = Owner(tmp_path / f"owned-{uuid.uuid4().hex[:8]}", control.directory)
    yield made
    made.close()


def test_a_node_that_is_stopped_leaves_nothing(owner: Owner) -> None:
    """Red when an orderly stop forgets a process, a namespace, a cgroup, an interface, a mount or a file."""
    owner.until("running")
    owner.look()
    assert len(owner.namespaces) >= len(NAMESPACES), "the test cannot see the node's namespaces"
    assert owner.left(), "the test cannot see what is there"
    owner.let_stop()
    owner.until("stopped")
    owner.popen.wait(30)
    owner.assert_nothing_left()


def test_kill_minus_nine_at_random_moments_leaves_nothing(control: Cluster, tmp_path: Path) -> None:
    """Red when something of a node outlives its owner, killed while the node starts, runs a pod, or is stopped."""
    dice = random.Random(20261121)
    begun = time.monotonic()
    whole = Owner(tmp_path / "owned-whole", control.directory)
    whole.until("running")
    span = time.monotonic() - begun
    whole.kill()
    whole.assert_nothing_left()
    moments = [dice.uniform(0.1, 1.0) * span for _ in range(MOMENTS - 2)]
    with_namespaces = 0
    for number, moment in enumerate(moments):
        owner = Owner(tmp_path / f"owned-{number}", control.directory)
        time.sleep(moment)  # the moment is what is chosen: there is nothing to wait for
        owner.kill()
        with_namespaces += bool(owner.namespaces)
        owner.assert_nothing_left()
    assert with_namespaces >= len(moments) // 2, "most moments were too early to prove anything"
    for number in range(2):
        owner = Owner(tmp_path / f"stopping-{number}", control.directory)
        owner.until("running")
        owner.look()
        owner.let_stop()
        owner.until("stopping")
        time.sleep(dice.uniform(0, 0.3))
        owner.kill()
        owner.assert_nothing_left()


def test_a_keeper_that_is_killed_takes_the_node_with_it(owner: Owner) -> None:
    """Red when a node goes on without its keeper, or its owner does not clear up after it."""
    owner.until("running")
    owner.look()
    keepers = [one for one in owner.mine if b"node.keeper" in (one / "cmdline").read_bytes()]
    top = min(keepers, key=lambda one: int(one.name))
    os.kill(int(top.name), signal.SIGKILL)
    owner.let_stop()
    owner.popen.wait(60)
    owner.assert_nothing_left()
