"""What a recording of Kueue in front of slices tells: what either tells."""

from __future__ import annotations

from gpuassay.systems.kueue.readings import LOG, KueueRecording
from gpuassay.systems.slices.readings import SILICON, SlicesRecording


class PlatformRecording(KueueRecording, SlicesRecording):
    """What happened in one scenario of Kueue in front of slices."""

    PARTS = (LOG, SILICON)
