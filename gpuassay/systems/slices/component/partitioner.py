"""Who gives slices of a node's GPUs, as its callers know it: device plugin, DRA driver or DAS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from gpuassay.systems.slices.component.program import Program


class Partitioner(Protocol):
    """One program that cuts GPUs into slices, or offers slices that were cut beforehand.

    Whoever adds one implements this, most of it by `gpuassay.systems.slices.component.program.Part`.
    """

    @property
    def static(self) -> bool:
        """Whether it offers what an administrator has cut before it starts; False: it cuts on demand."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        ...

    @property
    def log(self) -> Path:
        """Its output, of all starts."""
        ...

    def start(self) -> None:
        """Start it, the first time or again.

        Raises:
            ClusterError: it runs already.
        """
        ...

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        ...

    def kill(self) -> None:
        """SIGKILL, as a crash that was ordered."""
        ...

    def become(self, program: Program) -> None:
        """Have the next start run another version."""
        ...

    def refuse_death(self) -> None:
        """Raise ClusterError if it has ended, with its last word."""
        ...

    def offers(self) -> Mapping[str, int]:
        """The extended resources that its node should offer now; none where slices are devices of ResourceSlices."""
        ...

    def after_start(self) -> Callable[[], bool] | None:
        """Taken before it is started again: tells whether the kubelet knows it by then; None: `offers` tells."""
        ...

    def after_kubelet(self) -> Callable[[], bool] | None:
        """Taken before the kubelet is restarted: tells whether the new one knows it; None: `offers` tells."""
        ...
