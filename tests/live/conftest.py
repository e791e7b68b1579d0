"""A small live suite: a real embedded cluster in a process of its own, which the tests may ill-treat."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuassay.waiting import wait
from tests.cluster.conftest import need_programs
from tests.cluster.test_kill import listening, members, ports_of
from tests.outcome import Outcome

ROOT = Path(__file__).parents[2]
PATIENCE = 400.0
"""Seconds for what takes ten on an idle machine: the machine may be shared with other clusters."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The run's own limit for a test is for tests without a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(3 * PATIENCE))


CONFTEST = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where our parent ignores it
pytest_plugins = ("gpuassay.plugin",)
"""

INI = """
[pytest]
pythonpath = .
addopts = --strict-markers -p no:cacheprovider
filterwarnings =
    error
    ignore:Benchmarks are automatically disabled:Warning
"""

HEAD = '''
from pathlib import Path
import pytest
from gpuassay.behaviours import behaviour, needs
from gpuassay.systems.kueue import decisions
from gpuassay.scenarios.declare import scenario
from gpuassay.verdict import MUST
from gpuassay.waiting import wait

def says(id, **more):
    return behaviour(id, level=MUST, spec="none", red_when="never", **more)

def place(name):
    return Path(__file__).parents[2] / name

def reach(name):
    """Tells the test outside that this point was reached."""
    place(name).touch()

@scenario()
def quick(lab):
    """A job for one GPU is admitted and finishes."""
    queue = lab.queue(gpus=2)
    lab.job("one", queue, run_for=0.5)
    lab.until(lambda: lab.has("Finished", "one"), "one finished")

@scenario(timeout=300)
def slow(lab):
    """A job that nobody admits is waited for: time enough for the test outside to do harm."""
    queue = lab.queue(gpus=1)
    lab.job("runs", queue)
    lab.until_admitted("runs")
    lab.job("waits", queue)
    lab.until_pending(queue.name, 1)
    reach("acting")
    lab.until(lambda: lab.has("Admitted", "waits"), "waits admitted", timeout=200)
'''

QUICK = '''
@says("demo.live.finishes")
def test_finishes(quick):
    """A job runs to its end."""
    assert len(decisions(quick)) == 1

@says("demo.live.once")
def test_once(quick):
    """One Workload stands for it."""
    assert len(quick.workloads()) == 1
'''

SLOW = '''
@says("demo.live.slow")
def test_slow(slow):
    """Nothing: the scenario is broken off."""

@says("demo.live.later")
def test_later(slow):
    """Nothing: its turn never comes after an interruption."""
'''

JUDGING = '''
@says("demo.live.judged")
def test_judged(quick):
    """Judged while the other scenario is still under way."""
    assert len(quick.workloads()) == 1

@says("demo.live.judging")
def test_judging(quick):
    """Never comes to its end by itself."""
    wait(lambda: place("acting").exists(), bool, what="the other scenario", timeout=200)
    reach("judging")
    wait(lambda: None, bool, what="the end of this process", timeout=200)
'''


def inside(folder: Path) -> dict[int, str]:
    """Living processes, by id, that name `folder` in their command line or work below it (as workers do)."""
    found = {int(line.split()[0]): line for line in members(folder)}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in {os.getpid(), *found}:
            continue
        with contextlib.suppress(OSError):
            where = (entry / "cwd").readlink()
            if folder == where or folder in where.parents:
                found[int(entry.name)] = f"{entry.name} in {where}"
    return found


@dataclass
class Running:
    """A run of the small suite under way."""

    suite: LiveSuite
    process: subprocess.Popen[str]
    log: Path
    ports: set[int] = field(default_factory=set[int])
    """Ports that it was seen to listen on."""

    @property
    def said(self) -> str:
        """Its output so far."""
        return self.log.read_text()

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait until `happened()`; the run must not end before."""

        def ended(_: object) -> str | None:
            return f"the run ended: {self.said[-2000:]}" if self.process.poll() is not None else None

        wait(happened, bool, what=what, timeout=PATIENCE, error=ended)
        self.ports |= ports_of(self.suite.folder)

    def until_reached(self, *names: str) -> None:
        """Wait until the suite touched all `names` in its folder."""
        self.until(f"{names} to be reached", lambda: all((self.suite.folder / name).exists() for name in names))

    def until_said(self, words: str) -> None:
        """Wait until its output holds `words`."""
        self.until(f"the output {words!r}", lambda: words in self.said)

    def pid_of(self, words: str) -> int:
        """The process of this run whose command line holds `words`."""
        found = [line for line in members(self.suite.folder) if words in line.partition(" ")[2]]
        assert len(found) == 1, found
        return int(found[0].split()[0])

    def finish(self, within: float = PATIENCE) -> Outcome:
        """Wait until it has ended."""
        code = self.process.wait(within)
        return Outcome(code, self.said, self.suite.folder / "reports" / "latest")


@dataclass
class LiveSuite:
    """A project folder with `suites/demo/test_topic.py`."""

    folder: Path

    def __post_init__(self) -> None:
        demo = self.folder / "suites" / "demo"
        demo.mkdir(parents=True)
        for place in (self.folder / "suites" / "__init__.py", demo / "__init__.py"):
            place.touch()
        (self.folder / "conftest.py").write_text(CONFTEST)
        (self.folder / "pytest.ini").write_text(INI)

    def write(self, tests: str) -> None:
        """Make `tests` (after a common head) the only test module."""
        (self.folder / "suites" / "demo" / "test_topic.py").write_text(HEAD + tests)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the small suite finds the library."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    @contextmanager
    def start(self, *arguments: str, program: Sequence[str] = ("pytest", "suites")) -> Generator[Running]:
        """Start a run in a process group of its own; it does not outlive the block, whatever happens in there."""
        log = self.folder / f"output-{len(list(self.folder.glob('output-*')))}.txt"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, *arguments], cwd=self.folder, env=self.environment, stdout=out,
                stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        running = Running(self, process, log)
        try:
            yield running
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self._expect_nothing_left(running.ports)

    def _expect_nothing_left(self, ports: set[int]) -> None:
        def left() -> list[str]:
            return list(inside(self.folder).values()) + [f"port {port}" for port in listening() & ports]

        try:
            wait(left, lambda found: not found, what="all processes and ports of the run to be gone", timeout=5)
        finally:
            for pid in inside(self.folder):
                os.kill(pid, signal.SIGKILL)

    def run(self, *arguments: str, program: Sequence[str] = ("pytest", "suites")) -> Outcome:
        """A run from start to end, which leaves no process."""
        with self.start(*arguments, program=program) as running:
            return running.finish()


@pytest.fixture(scope="session")
def programs() -> None:
    """Skip, with the toolchain's reason, where programs would have to be built first."""
    need_programs("controlplane", "kwok", "kueue", "kustomize")


@pytest.fixture
def suite(programs: None, tmp_path: Path) -> LiveSuite:
    """An empty small suite in a folder of its own."""
    return LiveSuite(tmp_path / "project")
