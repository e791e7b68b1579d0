"""Limits of the routing measurements, and what a judgement by them amounts to."""

from __future__ import annotations

from pathlib import Path

from gpuassay import Inconclusive
from gpuassay.stats import thresholds
from gpuassay.systems.llmd.judge.performance import Judged
from gpuassay.systems.llmd.readings import RoutingRecording

LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))


def settle(judged: Judged, recording: RoutingRecording) -> None:
    """Fail, or be inconclusive, as judged; on a crowded machine nothing holds, and only what is certain fails."""
    if not judged.certain:
        LIMITS.refuse_noise(recording)
    if judged.outcome == "inconclusive":
        raise Inconclusive(judged.reason)
    assert judged.outcome == "pass", judged.reason
