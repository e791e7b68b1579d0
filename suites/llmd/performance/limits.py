"""Limits of the routing measurements, and what a judgement by them amounts to."""

from __future__ import annotations

from pathlib import Path

from gpuassay.judge.performance import thresholds
from gpuassay.judge.performance.routing import Judged
from gpuassay.record.recording import Recording
from gpuassay.verdict import Inconclusive

LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))


def settle(judged: Judged, recording: Recording) -> None:
    """Fail, or be inconclusive, as judged; what did not pass on a crowded machine is inconclusive in any case."""
    if judged.outcome != "pass":
        LIMITS.refuse_noise(recording)
    if judged.outcome == "inconclusive":
        raise Inconclusive(judged.reason)
    assert judged.outcome == "pass", judged.reason
