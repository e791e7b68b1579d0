"""Hostile objects of the inference extension: a picker bears each that the API takes, and heeds healthy ones beside it.

The values come from the schemas that the API server itself publishes: at and beyond the borders of every field of
InferencePool, InferenceObjective and InferenceModelRewrite. Every run sends a sample, the same each time; `--full`
sends all.
"""

from __future__ import annotations

import pytest

from gpuassay import MUST, behaviour
from gpuassay.hostile.answers import OFFERED
from gpuassay.hostile.sending import sample
from gpuassay.presence import must_have
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.hostile import Attacker, all_cases
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import neighbours as judge
from gpuassay.systems.llmd.objects.hostile import OBJECTIVE, POOL, REWRITE
from gpuassay.systems.llmd.readings import NEIGHBOURS, RoutingRecording
from suites.llmd.epp_requests import small
from suites.llmd.epps import per_epp

API = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/"
SAMPLE = 90


@per_epp(timeout=60)
def hostile_objects(lab: RoutingLab, picker: str) -> None:
    """Hostile values in the picker's pool, in objectives and in rewrites; beside each a healthy rewrite is made."""
    with opened(lab, small(picker, profile="random", replicas=2)) as site:
        cases = all_cases(site)
        lab.note(OFFERED, len(cases))
        Attacker(site).go(cases if lab.full else sample(cases, SAMPLE, 1))


@behaviour(
    "llmd.hostile.borne", level=MUST, spec=API, timed=True, mutant="rewrites-lost",
    red_when="an object that the API takes ends the picker, or keeps it from heeding a healthy one that is made next",
)  # fmt: skip
@pytest.mark.parametrize("kind", [POOL, OBJECTIVE, REWRITE])
def test_a_hostile_object_hurts_nobody_else(hostile_objects: RoutingRecording, kind: str) -> None:
    """Beside every malformed or extreme object that the API takes, the picker lives and heeds a rewrite made then."""
    rows = judge.of(hostile_objects.rows(NEIGHBOURS), kind)
    found = judge.heeded_findings(must_have(rows, f"hostile objects of kind {kind} that were accepted", least=4))
    assert not found, "\n".join(found)
