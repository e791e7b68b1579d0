"""What scenarios may change of a system on somebody's cluster, and who does it: the system's operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.scenarios.lab import Lab


@dataclass(frozen=True)
class Operation:
    """On whose behalf, and how far.

    Attributes:
        cluster: the cluster.
        run: whose label everything carries.
        consent: whether what is somebody else's may be changed for the length of the run.
        logs: whether the system's log is read along.
        say: tells the person at the terminal how far things are.
    """

    cluster: Cluster
    run: str
    consent: bool
    logs: bool
    say: Callable[[str], None]


class Operator(Protocol):
    """Changes a system on somebody's cluster for scenarios, as far as it may."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What scenarios can have because of it."""
        ...

    def equip(self, lab: Lab, /) -> None:
        """Give a lab what it needs to act on the system."""
        ...

    def set_profile(self, profile: str, /) -> str | None:
        """Bring the system into a configuration profile; the reason why that may not be, or None.

        Raises:
            ClusterError: the system does not work with it.
        """
        ...
