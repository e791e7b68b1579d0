"""What a scenario of routing acts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.scenarios.lab import Lab

if TYPE_CHECKING:
    from gpuassay.systems.llmd.existing.gateway import ExistingGateway


class RoutingLab(Lab):
    """A scenario's lab on a cluster with endpoint pickers, or at somebody's gateway."""

    gateway: ExistingGateway | None = None
    """Somebody's, where routing is judged there; None where pickers and gateways are ours."""

    def has_program(self, name: str) -> bool:
        """Whether a component is built or brought, so that an arm may use it."""
        return toolchain.available(name, self.cluster.assets) is None
