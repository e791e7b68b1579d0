"""Calls to an endpoint picker over its own protocol: of an arm of ours, or somebody's that `--epp-target` names."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.record import facts
from gpuassay.record.notes import Note
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import Asking, asking
from gpuassay.systems.llmd.acts.epp_connection import Connection
from gpuassay.systems.llmd.component.spec import Arm

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab


class Target(msgspec.Struct, frozen=True):
    """Somebody's endpoint picker.

    Attributes:
        target: `HOST:PORT`.
        tls: whether it speaks TLS.
        pool: `NAMESPACE/NAME` of its InferencePool.
        model: that was asked for.
    """

    target: str
    tls: bool
    pool: str
    model: str


TARGET = Note("target", Target, "the endpoint picker of somebody that was asked", default=None)


@contextmanager
def talking(lab: RoutingLab, arm: Arm) -> Generator[Asking]:
    """A connection to the picker of an arm of ours, or to somebody's, for the length of a `with` block.

    Raises:
        NotFromOutside: a gateway is judged, and no picker is named.
        ClusterError: nothing answers where it is said to be.
    """
    gateway = lab.gateway
    if gateway is None:
        with opened(lab, arm) as site, asking(site) as epp:
            yield epp
        return
    place = gateway.place
    if not place.epp_target:
        raise NotFromOutside("no picker is named to be asked directly (--epp-target HOST:PORT)")
    from gpuassay.systems.llmd.existing.epp import reached

    members = [one.endpoint for one in gateway.replicas]
    lab.note(facts.OUTSIDE, facts.Outside(gateway.manifest, members))
    lab.note(notes.MEMBERS, members)
    with reached(place.epp_target) as at, Connection(at, None) as connection:
        pool = f"{place.namespace}/{place.pool}"
        lab.note(TARGET, Target(place.epp_target, at != place.epp_target, pool, place.model))
        yield Asking(Deployment(lab, gateway), connection, cast("Any", None))
