"""A Gateway of the user's that is to lead to our pool: by its own controller's word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.component import Wish
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.llmd import provision_route
from gpuassay.systems.llmd.component.served import read
from gpuassay.systems.llmd.provision import content
from gpuassay.systems.llmd.provision_route import VERSION, problem, route
from gpuassay.toolchain import Assets
from tests.cluster.conftest import need_programs
from tests.cluster.served import made

GATEWAY = made(VERSION, "Gateway", "front", "infra", spec={"gatewayClassName": "istio"})


def told(**conditions: str) -> Manifest:
    """Our route, with what a Gateway's controller says of it."""
    found = route("infra/front", "llmd", "routing")
    said = [{"type": kind, "status": state, "message": "no such pool"} for kind, state in conditions.items()]
    return found | {"status": {"parents": [{"parentRef": {"name": "front"}, "conditions": said}] if said else []}}


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([], ""),
        ([GATEWAY, told(Accepted="True", ResolvedRefs="True")], ""),
        ([told(Accepted="True", ResolvedRefs="True")], "there is no Gateway infra/front"),
        ([GATEWAY, told()], "Gateway infra/front of class istio says nothing of HTTPRoute routing/llmd"),
        ([GATEWAY, told(Accepted="False")], "has not Accepted for HTTPRoute routing/llmd: no such pool"),
        ([GATEWAY, told(Accepted="True", ResolvedRefs="False")], "has not ResolvedRefs .*: no such pool"),
        ([GATEWAY, told(Accepted="True")], "has not ResolvedRefs .*: it does not say why"),
    ],
)
def test_a_route_works_once_the_gateways_controller_says_so(
    objects: list[Manifest], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when a Gateway that does not lead to the pool passes, or its class or reason is not told."""
    found = {Ref.of(one): one for one in objects}

    def get(_: Objects, ref: Ref) -> Manifest | None:
        return found.get(ref)

    monkeypatch.setattr(provision_route.Objects, "get", get)
    said = problem(cast("Api", None), "llmd", "routing")
    assert bool(said) == bool(words) and re.search(words, said)


@pytest.mark.parametrize("gateway", ["front", "a/b/c", "/front", "infra/"])
def test_a_gateway_is_named_with_its_namespace(gateway: str) -> None:
    """Red when a slip in the name of a Gateway becomes a route of another."""
    with pytest.raises(ClusterError, match="give NAMESPACE/NAME of a Gateway"):
        route(gateway, "llmd", "routing")


def test_a_gateway_in_the_values_brings_a_route(tmp_path: Path) -> None:
    """Red when the route is forgotten, or begun on a cluster that knows none."""
    need_programs("llmd-epp")
    values = tmp_path / "values.yaml"
    values.write_text("gateway: infra/front\n")
    assert read([values]).gateway == "infra/front"
    wish = Wish(values=[values], groups=frozenset({"gateway.networking.k8s.io"}))
    (found,) = [one for one in content(Assets(), wish).objects if one["kind"] == "HTTPRoute"]
    assert found["spec"]["parentRefs"] == [{"name": "front", "namespace": "infra"}]
    with pytest.raises(ClusterError, match="this cluster has no Gateway API"):
        content(Assets(), Wish(values=[values]))
