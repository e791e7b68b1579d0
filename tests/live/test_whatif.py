"""A what-if on real Kueue: two configurations, one job that never fits, from the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.toolchain.errors import ToolchainError
from tests.whatif.files import FLAVOR, queue, written

pytestmark = pytest.mark.timeout(400)

JOBS = "arrival,gpus,seconds,queue,priority,user\n"
LOW, HIGH = "0,2,20m,low,0,eve\n", "2m,2,5m,high,0,kim\n"
PREEMPTION = "{reclaimWithinCohort: Any}"


def test_reclaiming_is_seen_to_help_whose_quota_was_lent(tmp_path: Path) -> None:
    try:
        toolchain.programs("kueue")
    except ToolchainError as error:
        pytest.skip(str(error))
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(JOBS + LOW + HIGH + "1m,64,10m,high,0,kim\n")
    low = queue("low", 0, cohortName="c")
    lent = written(tmp_path, FLAVOR, low, queue("high", 2, cohortName="c"), name="lent.yaml")
    back = written(
        tmp_path, FLAVOR, low, queue("high", 2, cohortName="c", preemption=PREEMPTION), name="reclaimed.yaml"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [
            sys.executable, "-m", "gpuassay", "whatif", str(lent), str(jobs), "--against", str(back), "--directory",
            str(out), "--speed", "60",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "line 4: job-4 asks for 64, high can have 2 at most" in done.stderr
    document = json.loads((out / "whatif.json").read_text())
    for side, (preempted, waited) in zip(document["configurations"], ((0, 15 * 60), (1, 0)), strict=True):
        for said in side["said_by"]:
            found = said["totals"]
            assert (found["finished"], found["never"], found["preempted"]) == (2, 1, preempted), (side["name"], said)
            high = next(one for one in said["queues"] if one["group"] == "high")
            assert abs(high["median"] - waited) < 5 * 60, (side["name"], said["source"], high)
