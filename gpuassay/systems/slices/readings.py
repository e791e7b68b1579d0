"""What a recording of slices tells besides objects: what was done to the GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from gpuassay.manifest import Manifest
from gpuassay.record.parts import Part
from gpuassay.record.recording import Recording

SILICON = Part("silicon.jsonl", "what was done to a GPU: slices made and destroyed, calls that were refused")


class SlicesRecording(Recording):
    """What happened in one scenario of slices."""

    PARTS: ClassVar[Mapping[str, Part]] = {"silicon": SILICON}

    @cached_property
    def silicon(self) -> list[Manifest]:
        """What was done to the GPUs, in order: slices made and destroyed, calls that were refused."""
        return self.rows(SILICON)
