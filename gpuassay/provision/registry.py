"""Every component that can be provisioned, of all systems."""

from __future__ import annotations

from collections.abc import Mapping

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Provided
from gpuassay.system import systems


def components() -> Mapping[str, Provided]:
    """By name, in the order in which they are installed."""
    return {one.name: one for system in systems().values() for one in system.provides()}


def component(name: str) -> Provided:
    """The component called `name`.

    Raises:
        ClusterError: there is none; the message lists those there are.
    """
    known = components()
    try:
        return known[name]
    except KeyError:
        raise ClusterError(f"no component is called {name!r}; there are {', '.join(known)}") from None
