"""What is said before any cluster is opened: the plan, and that a scenario asks for what there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.conftest import QUICK, LiveSuite

NO_SUCH_PROFILE = '''
@scenario(profile="nope")
def misnamed(lab):
    """Asks for a configuration that there is not."""

@says("demo.live.misnamed")
def test_misnamed(misnamed): pass
'''


def _files(folder: Path) -> set[Path]:
    """All but what Python, other plugins (`.benchmarks`) and this test keep there."""
    kept = ("__pycache__", ".", "output")
    found = {path.relative_to(folder) for path in folder.rglob("*")}
    return {path for path in found if not any(part.startswith(kept) for part in path.parts)}


@pytest.mark.parametrize("arguments", [[], ["-n", "2"], ["--cluster", "existing"]], ids=" ".join)
def test_a_plan_touches_nothing(tmp_path: Path, arguments: list[str]) -> None:
    """Red when `--plan` opens a cluster, makes a file, or leaves out what would run and what it needs."""
    suite = LiveSuite(tmp_path / "project")
    suite.write(QUICK)
    before = _files(suite.folder)
    outcome = suite.run("--plan", *arguments)
    assert outcome.code == 0, outcome.output
    assert "2 behaviours over 1 scenarios would run" in outcome.output
    assert "demo.live.finishes (MUST): A job runs to its end." in outcome.output
    assert "kueue.x-k8s.io: workloads" in outcome.output
    assert "starting the control plane" not in outcome.output
    assert _files(suite.folder) == before


@pytest.mark.parametrize("arguments", [[], ["-n", "2"], ["--plan"]], ids=" ".join)
def test_an_unknown_profile_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    """Red when a misspelt profile costs a cluster, shows a traceback, or reads as a missing capability."""
    suite = LiveSuite(tmp_path / "project")
    suite.write(NO_SUCH_PROFILE)
    outcome = suite.run(*arguments)
    assert outcome.code == 2, outcome.output
    told = [line for line in outcome.output.splitlines() if "no Kueue profile is called 'nope'" in line]
    assert len(told) == 1, outcome.output
    assert "scenario demo.topic.misnamed" in told[0]
    assert "there are default" in told[0]
    assert "Traceback" not in outcome.output
    assert "starting the control plane" not in outcome.output
