"""The library as a wheel, in an environment of its own and another folder: what a user has without the checkout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuassay.record.store import own_sum
from tests.cluster.conftest import need_programs

ROOT = Path(__file__).parents[2]
FOREIGN = Path(__file__).parent / "foreign"
KUEUE = ("kueue", "controlplane", "kustomize", "kwok")
LIMIT = 900

pytestmark = pytest.mark.timeout(LIMIT)


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder to stand in."""

    python: Path
    site: Path
    place: Path

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        program = [str(self.python.with_name(command[0])), *command[1:]]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
        return subprocess.run(
            program, cwd=self.place, env=kept | environ, capture_output=True, text=True, timeout=LIMIT, check=False
        )

    def provide(self, name: str, entry_points: str) -> None:
        """Let `name` be an installed package that declares entry points."""
        info = self.site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[gpuassay.systems]\n{entry_points}\n")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("the build backend (hatchling) cannot be downloaded")
    assert done.returncode == 0, done.stderr
    return next(out.glob("gpuassay-*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    """The wheel in an environment of its own; what it depends on is borrowed from this one."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=LIMIT)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*")) / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=LIMIT)
    (tmp_path / "elsewhere").mkdir()
    return Installed(python, site, tmp_path / "elsewhere")


def pytest_of(installed: Installed, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return installed.run("python", "-m", "pytest", *arguments, **environ)


def test_the_demo_writes_its_report_into_the_current_folder(installed: Installed) -> None:
    """Red when an installed wheel lacks suites, templates or recordings, or needs the checkout."""
    done = installed.run("gpuassay", "demo", "--no-open")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert (installed.place / "reports" / "latest" / "report.html").stat().st_size > 100_000


def test_a_new_suite_passes_live_and_again_by_replay(installed: Installed) -> None:
    """Red when what a newcomer is given to begin with does not run as it is."""
    need_programs(*KUEUE)
    made = installed.run("gpuassay", "new-suite", "mine")
    assert made.returncode == 0, made.stderr
    assert len((installed.place / "mine" / "test_queue.py").read_text().splitlines()) <= 30
    done = pytest_of(installed, "mine")
    assert done.returncode == 0 and "2 PASS" in done.stdout, done.stdout[-3000:]
    again = pytest_of(installed, "mine", "--replay", "mine/reports/latest")
    assert again.returncode == 0 and "2 PASS" in again.stdout, again.stdout[-3000:]
    refused = installed.run("gpuassay", "new-suite", "mine")
    assert (refused.returncode, refused.stderr) == (2, "gpuassay: mine is not empty: name a new folder\n")


def test_run_hands_its_arguments_to_pytest(installed: Installed) -> None:
    """Red when bundled suites cannot be named from another folder."""
    done = installed.run("gpuassay", "run", "suites/kueue/test_ordering.py", "-k", "heap_order", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "suites/kueue/test_ordering.py::test_a_burst_of_jobs_is_admitted_in_heap_order" in done.stdout
    assert not (installed.place / "reports").exists()


def test_somebody_elses_tests_are_left_alone(installed: Installed) -> None:
    """Red when having the package installed changes what pytest does with tests that do not use it."""
    (installed.place / "test_own.py").write_text("def test_own(): pass\n")
    done = pytest_of(installed, "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0 and "1 passed" in done.stdout
    assert {one.name for one in installed.place.iterdir()} <= {"test_own.py", "__pycache__", ".benchmarks"}


@pytest.fixture
def foreign(installed: Installed) -> Installed:
    """A package that brings a system of its own, and its suite."""
    shutil.copytree(FOREIGN / "numbered", installed.site / "numbered")
    installed.provide("numbered", "numbered = numbered.system:SYSTEM")
    shutil.copytree(FOREIGN / "suite", installed.place / "suite")
    return installed


def test_a_foreign_system_runs_live_and_by_replay(foreign: Installed) -> None:
    """Red when one more system needs a change to the core."""
    need_programs("controlplane", "kwok")
    lines = [file.read_text().splitlines() for file in FOREIGN.rglob("*.py")]
    assert sum(map(len, lines)) <= 150
    live = pytest_of(foreign, "suite")
    assert live.returncode == 0 and "1 PASS" in live.stdout, live.stdout[-3000:]
    (numbers,) = foreign.place.glob("suite/reports/runs/*/recordings/*/numbers.jsonl")
    again = pytest_of(foreign, "suite", "--replay", "suite/reports/latest")
    assert again.returncode == 0 and "1 PASS" in again.stdout, again.stdout[-3000:]
    first, *rest = numbers.read_text().splitlines()
    _doctor(numbers, "\n".join([first, first, *rest]) + "\n")
    doctored = pytest_of(foreign, "suite", "--replay", str(numbers.parents[2]))
    assert doctored.returncode == 1 and "invariant: number 1 was given twice" in doctored.stdout, doctored.stdout[
        -3000:
    ]


def _doctor(part: Path, text: str) -> None:
    """Change a part of a recording, with the checksum that goes with it."""
    part.write_text(text)
    place = part.with_name("recording.json")
    document = json.loads(place.read_text())
    document["files"][part.name] = hashlib.sha256(text.encode()).hexdigest()
    place.write_text(json.dumps({**document, "sum": own_sum(document)}))


def test_a_foreign_mutant_kills(foreign: Installed) -> None:
    """Red when a foreign system cannot prove of itself that its tests can fail."""
    need_programs("controlplane", "kwok")
    broken = pytest_of(foreign, "suite", "--mutant", "wish-lost")
    assert broken.returncode == 1 and "killed by numbered.give.all" in broken.stdout, broken.stdout[-3000:]


def refused(installed: Installed, *arguments: str) -> str:
    """The one line that pytest ends with where it refuses to begin."""
    done = pytest_of(installed, *arguments)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("ERROR", "Exit"))]
    assert done.returncode in (2, 4) and len(said) == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    return said[0]


def test_two_systems_of_one_name_are_one_line(foreign: Installed) -> None:
    """Red when the second silently takes the first one's place, or ends in a traceback."""
    foreign.provide("twin", "again = numbered.system:SYSTEM")
    assert "two systems are called 'numbered'" in refused(foreign, "suite", "--plan")


def test_an_entry_point_that_cannot_be_imported_is_named_and_the_others_go_on(foreign: Installed) -> None:
    """Red when somebody's broken package keeps everybody from testing, or vanishes without a word."""
    foreign.provide("sick", "sick = sick.system:SYSTEM")
    done = pytest_of(foreign, "suite", "--plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gpuassay: system sick is left out: sick.system:SYSTEM cannot be imported" in done.stdout
    assert "1 behaviours over 1 scenarios" in done.stdout


def test_names_that_nobody_knows_are_one_line(foreign: Installed) -> None:
    """Red when a misspelt name is a SKIP, a mutant that breaks nothing, or a judgement that replaces another's."""
    suite = foreign.place / "suite" / "test_numbers.py"
    good = suite.read_text()
    for before, after, words in (
        ('mutant="wish-lost"', 'mutant="wish-losd"', "no mutant is called 'wish-losd'; did you mean wish-lost"),
        ('@scenario(system="numbered")', '@scenario(system="numbered", needs={"numberd"})',
         "scenario numbers.three: no cluster has a capability called 'numberd'; did you mean 'numbered'?"),
    ):  # fmt: skip
        assert before in good
        suite.write_text(good.replace(before, after))
        assert words in refused(foreign, "suite", "--plan")
    doubled = good + good[good.index("@behaviour") :].replace("def test_all_are_numbered", "def test_again")
    suite.write_text(doubled)
    assert "behaviour numbered.give.all is declared twice" in refused(foreign, "suite", "--plan")


def test_an_old_python_is_refused_before_anything_is_installed(wheel: Path) -> None:
    """Red when the wheel goes onto a Python on which it cannot be imported (pip reads this line)."""
    with zipfile.ZipFile(wheel) as content:
        name = next(one for one in content.namelist() if one.endswith(".dist-info/METADATA"))
        assert "Requires-Python: >=3.11" in content.read(name).decode()
