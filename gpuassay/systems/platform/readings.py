"""What a recording of Kueue in front of slices tells: what either tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gpuassay.record.parts import Part
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.systems.slices.readings import SlicesRecording


class PlatformRecording(KueueRecording, SlicesRecording):
    """What happened in one scenario of Kueue in front of slices."""

    PARTS: ClassVar[Mapping[str, Part[Any]]] = {**KueueRecording.PARTS, **SlicesRecording.PARTS}
