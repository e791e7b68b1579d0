"""Words of `gpuassay` commands that cannot be used: one line, exit code 2, and nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay import cli
from gpuassay.record import rundir

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with things of the user's and a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("home", "full", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "old.tar.xz").write_text("mine")
    (tmp_path / "link.tar.xz").symlink_to("file")
    run = tmp_path / "run"
    (run / "recordings").mkdir(parents=True)
    rundir.begin(run, mode="live", replay_of=None, mutant=None, command=["pytest"])
    return tmp_path


def content(place: Path) -> dict[str, str]:
    return {
        str(one): one.read_text() if one.is_file() else "" for one in place.rglob("*") if ".benchmarks" not in str(one)
    }


EMPTY = "the value is empty"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["pack", "", "new.tar.xz"], EMPTY),
        (["pack", "run", ""], EMPTY),
        (["pack", "nothing", "new.tar.xz"], "no run.json"),
        (["pack", "file", "new.tar.xz"], "a file; name the directory of a run"),
        (["pack", "run", "old.tar.xz"], "old.tar.xz is there already"),
        (["pack", "run", "link.tar.xz"], "link.tar.xz is there already"),
        (["pack", "run", "full"], "name it so"),
        (["pack", "run", "new.zip"], "name it so"),
        (["pack", "run", "run/new.tar.xz"], "lies in the run directory itself"),
        (["pack", "run", "nothing/new.tar.xz"], "nothing/new.tar.xz: No such file or directory"),
        (["new-suite", ""], EMPTY),
        (["new-suite", "full"], "full is not empty"),
        (["new-suite", "file"], "File exists: name another folder"),
        (["report", ""], EMPTY),
        (["report", "nothing"], "no such run directory"),
        (["report", "file"], "no such run directory"),
        (["up", "--directory", "full"], "full is not empty: name a new folder"),
        (["up", "--directory", "file"], "File exists: name another folder"),
        (["up", "--directory="], EMPTY),
        (["up", "--nodes", "5001"], "must be at most 5000"),
        (["up", "--gpus", "-1"], "a number up to 1024, or MODEL*NUMBER"),
        (["up", "--mig", "all-balanced"], "only GPUs of --like-yours can be cut"),
        (["up", "--private-registries", "file"], "only nodes of --like-yours pull images"),
        (["up", "--like-yours", "--mig", "all-balanced"], "there are none: give --gpus MODEL*NUMBER"),
        (["up", "--profile="], EMPTY),
        (["doctor", "--kubeconfig="], EMPTY),
        (["doctor", "--kubeconfig", "file"], "are of a cluster: add --cluster existing"),
        (["doctor", "--cluster", "existing", "--kubeconfig", "nothing"], "nothing does not exist"),
        (["sweep", "--kubeconfig="], EMPTY),
        (["sweep", "--kubeconfig", "file", ""], EMPTY),
        (["sweep", "--kubeconfig", "file", "a,b in (c)"], "is no run's id"),
        (["sweep", "--kubeconfig", "file", "*"], "is no run's id"),
        (["sweep", "--kubeconfig", "file", "--timeout", "nan"], "no number above 0"),
        (["mutants", ""], EMPTY),
        (["mutants", "--suite="], EMPTY),
        (["mutants", "--out", "file"], "file: is there already"),
        (["mutants", "--out", "nothing/out"], "nothing: cannot be written to"),
        (["calibrate", "--from", ""], EMPTY),
        (["calibrate", "--repeat", "1001"], "must be at most 1000"),
        (["calibrate", "--thresholds", "full"], "full cannot be read: Is a directory"),
        (["wheels", "", "kwok"], EMPTY),
        (["build", ""], EMPTY),
        (["build", "kwok", "--asset="], EMPTY),
    ],
)
def test_what_cannot_be_used_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    """Red when a command shows a traceback, takes something else instead, or replaces what is there."""
    before = content(place)
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr().err
    assert code == 2 and line in told and "Traceback" not in told, told
    assert len([one for one in told.splitlines() if "gpuassay" in one and not one.startswith("usage:")]) == 1
    assert content(place) == before


def test_a_run_is_packed_into_the_home_folder(place: Path) -> None:
    """Red when `~` is a folder of that name, or a draft stays."""
    assert cli.main(["pack", "run", "~/run.tar.xz"]) == 0
    assert [one.name for one in (place / "home").iterdir()] == ["run.tar.xz"]


def _thresholds(place: Path) -> Path:
    known = place / "thresholds.json"
    known.write_text((ROOT / "suites/kueue/performance/thresholds.json").read_text())
    return known


def _with_rate(place: Path, number: int, **facts: object) -> str:
    run = rundir.new_run_dir(place / f"runs{number}")
    rundir.begin(run, mode="live", replay_of=None, mutant=None, command=["pytest"])
    rundir.describe(run, **{name: value for name, value in facts.items() if name == "mutant"})
    measured = {"workloads_per_s": 5 + number, "cpu_stall_share": 0.0, "divisor": 1} | facts
    verdict = {"behaviour": "kueue.throughput.rate", "measured": measured}
    (run / "verdicts.jsonl").write_text(json.dumps(verdict) + "\n")
    return str(run)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"workloads_per_s": "many"}, "has no usable figures"),
        ({"workloads_per_s": float("nan")}, "which is no figure"),
        ({"workloads_per_s": -1}, "which is no figure"),
        ({"cpu_stall_share": float("nan")}, "fewer than 3 usable runs"),
        ({"mutant": "identity"}, "ran with the mutant identity"),
    ],
)
def test_no_threshold_is_made_from_what_is_no_figure(
    place: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, object], line: str
) -> None:
    """Red when a run that says nothing of this machine moves its thresholds."""
    runs = [_with_rate(place, 0, **facts), _with_rate(place, 1), _with_rate(place, 2)]
    known = _thresholds(place)
    before = known.read_text()
    assert cli.main(["calibrate", "--thresholds", str(known), "--from", *runs]) == 2
    assert line in capsys.readouterr().err and known.read_text() == before


def test_one_run_is_not_three(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Red when a run that is named thrice has a standard deviation of 0."""
    run, known = _with_rate(place, 0), _thresholds(place)
    assert cli.main(["calibrate", "--thresholds", str(known), "--from", run, run, run]) == 2
    assert "name each run once" in capsys.readouterr().err


def test_output_that_cannot_be_written_is_told(place: Path) -> None:
    """Red when a full disk behind standard output ends in a traceback, or in exit code 0."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gpuassay", "mutants", "--list", "--suite", str(ROOT / "suites/gpu_operator")],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "gpuassay: output cannot be written: No space left on device\n")


def test_the_catalogue_is_of_all_suites(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the page depends on the folder in which it is made, or on pytest's own variable."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k stop")
    done = subprocess.run(
        [sys.executable, "-m", "gpuassay", "catalogue", "--check"], capture_output=True, text=True, check=False,
        cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
