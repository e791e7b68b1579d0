"""The recordings of real DAS that come with the project: judged again without a cluster, and never shown as live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gpuassay.record.pack import open_run

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "tests" / "data" / "recorded-das.tar.xz"
MOST_BYTES = 1_000_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """`run.json` of the recordings."""
    return json.loads((open_run(ARCHIVE) / "run.json").read_text())


def test_their_provenance_is_told(run: dict[str, Any]) -> None:
    """Red when it is not said whose programs were judged, what was emulated, or that no mutant was at work."""
    programs = {one["name"]: one for one in run["components"] if one["name"].startswith("das-")}
    assert set(programs) == {"das-webhook", "das-scheduler", "das-daemonset"}
    for one in programs.values():
        assert one["version"] == "9f4fc07f"
        assert one["source"].startswith("supplied by the user") and one["source"].endswith("DAS 9f4fc07f")
        assert len(one["sha256"]) == 64
    emulated = {one["what"] for one in run["emulated"]}
    assert {"GPUs and their driver", "ClusterPolicy of NVIDIA's GPU Operator"} <= emulated
    assert run["mode"] == "live"
    assert run["mutant"] is None


def test_they_hold_no_path_of_a_machine_and_are_small() -> None:
    """Red when the recordings name somebody's folders, or grow beyond what a repository should carry."""
    assert ARCHIVE.stat().st_size <= MOST_BYTES
    folder = open_run(ARCHIVE)
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        text = file.read_text()
        assert not [words for words in ("/work/", "/tmp/", "/home/", "/root/") if words in text], file.name


def test_pytest_k_das_judges_them_again(tmp_path: Path) -> None:
    """Red when `pytest -k das --replay` does not work, refutes what was recorded, or does not say REPLAY."""
    command = [
        sys.executable, "-m", "pytest", "suites/slices", "-k", "das", "-q", "-p", "no:cacheprovider",
        "--replay", str(ARCHIVE), "--run-dir", str(tmp_path),
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "GPUASSAY_"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "REPLAY" in done.stdout
    (folder,) = (one for one in tmp_path.iterdir() if (one / "verdicts.jsonl").exists() and not one.is_symlink())
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    states = Counter(one["state"] for one in verdicts)
    assert set(states) <= {"PASS", "KNOWN-DEFECT", "SKIP"}, states
    assert states["PASS"] >= 50
    assert states["KNOWN-DEFECT"] >= 8
    named = {one["behaviour"] for one in verdicts if one["state"] == "KNOWN-DEFECT"}
    assert {"slices.das.burst-identity", "slices.das.double-memory", "slices.ends.container-restart[das]"} <= named
