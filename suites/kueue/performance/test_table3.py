"""Table 3: what the queue configurations cost and gain."""

from __future__ import annotations

import pytest

from fixtures.arms import Arms
from gpuassay.behaviour import behaviour
from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import scenario
from gpuassay.scenario.lab import Lab
from gpuassay.verdict import MUST
from suites.kueue.performance import table3

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3600)]

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"


@scenario(alone=True, needs={"control-plane", "kueue-process"}, timeout=3600)
def configurations(lab: Lab) -> None:
    """Five configurations, one of them in two readings and one twice, 32 jobs each."""
    table3.act(lab)


@behaviour(
    "kueue.performance.table-3-completes", level=MUST, spec=SPEC,
    red_when="a job of any configuration is never run to its end", mutant="",
)  # fmt: skip
def test_every_job_of_every_configuration_finishes(configurations: Recording, arms: Arms) -> None:
    """Every configuration brings all of its 32 jobs to their end."""
    done = {name: arm.notes["finished"] for name, arm in arms(configurations).items() if name != table3.SCHEDULER}
    assert set(done.values()) == {32}, done
