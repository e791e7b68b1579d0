"""The declared behaviours as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gpuassay import labels
from gpuassay.scenarios import mutants
from gpuassay.systems.kueue.objects import queues as kueue

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "catalogue.md"


def test_the_catalogue_is_up_to_date() -> None:
    """Red when a behaviour was added or changed and `python -m gpuassay catalogue` was not run."""
    command = [sys.executable, "-m", "gpuassay", "catalogue", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_mutant_that_a_behaviour_names_exists() -> None:
    """Red when a behaviour names a mutant that nobody wrote."""
    named = {line.rsplit("|", 2)[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    assert named - {"-"} <= set(mutants.known())


def test_every_object_mutant_leaves_the_scenario_its_own_copy() -> None:
    """Red when a mutant edits what was asked: the oracle would then work from the broken system."""
    asked = kueue.cluster_queue("q", [kueue.gpu_group("gpu", 2, borrowing=1)], cohort="c")
    asked["metadata"]["labels"] = {labels.SCENARIO: "x"}
    for one in mutants.known().values():
        before = repr(asked)
        one.change(asked)
        assert repr(asked) == before, one.name
