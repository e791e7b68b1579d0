"""What a recording of slices tells besides objects: what was done to the GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from gpuassay.record.parts import Part
from gpuassay.record.recording import Recording
from gpuassay.systems.slices.rows import SiliconEvent

SILICON = Part(
    "silicon.jsonl", "what was done to a GPU: slices made and destroyed, calls that were refused", row=SiliconEvent
)


class SlicesRecording(Recording):
    """What happened in one scenario of slices."""

    PARTS: ClassVar[Mapping[str, Part[Any]]] = {"silicon": SILICON}

    @cached_property
    def silicon(self) -> list[SiliconEvent]:
        """What was done to the GPUs, in order: slices made and destroyed, calls that were refused."""
        return self.rows(SILICON)
