"""A Gateway of the user's that is led to llm-d's pool: by its controller's word, which is a stand-in here. Root only.

The Gateway API's definitions are upstream's. No request goes through the Gateway: nothing listens behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.like_yours import like_yours
from gpuassay.provision.component import Wish
from gpuassay.provision.install import Target, install
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.plan import informed
from gpuassay.provision.remove import remove
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.systems.llmd.gateway.istio_crds import GATEWAY_API, definitions
from gpuassay.systems.llmd.provision import LLMD, NAMESPACE, RELEASE
from gpuassay.systems.llmd.provision_route import VERSION
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster
from tests.live import gateway_standin as standin
from tests.live.playing import playing
from tests.live.test_provision import call, everything

ROUTE = Ref(VERSION, "HTTPRoute", NAMESPACE, RELEASE)
HASTY = replace(LLMD, seconds=45)


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the Gateway API, a Gateway of the stand-in's class, and one of a class that nobody serves."""
    need_whole_cluster("helm", "kueue", "llmd-epp", "llmd-sim")
    try:
        envoy.program()
    except ClusterError as error:
        pytest.skip(f"needs Envoy: {error}")
    files = toolchain.module_dir("kueue", GATEWAY_API, Assets()) / "config" / "crd" / "standard"
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1) as up:
        for one in definitions(sorted(files.glob("*.yaml"))):
            up.api.apply(one)
        kinds = {(VERSION, "Gateway"), (VERSION, "HTTPRoute")}
        wait(lambda: Objects(up.api).kinds, lambda now: kinds <= now.keys(), what="the Gateway API", timeout=60)
        objects = Objects(up.api)
        up.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}})
        for name, kind in (("front", standin.CLASS), ("dead", "nobodys")):
            one = standin.gateway(name, "infra", kind)
            objects.apply(Ref.of(one), one)
        yield up


def values(folder: Path, gateway: str) -> Path:
    file = folder / "values.yaml"
    file.write_text(f"gateway: {gateway}\nmodelServers: {{replicas: 1}}\n")
    return file


def test_a_gateway_of_the_users_leads_to_the_pool(yours: Cluster, tmp_path: Path) -> None:
    """Red when the route is not accepted by its Gateway's controller, or a trace of it stays."""
    before = everything(yours)
    with playing(lambda: standin.looked(yours.api)):
        call(yours, "provision", "llmd", "--values", f"llmd={values(tmp_path, 'infra/front')}")
        route = Objects(yours.api).get(ROUTE)
        assert route is not None
        (parent,) = route["status"]["parents"]
        assert {one["type"]: one["status"] for one in parent["conditions"]} == {
            "Accepted": "True", "ResolvedRefs": "True",
        }  # fmt: skip
        assert "does not work" not in call(yours, "status")
        assert "the cluster is as before" in call(yours, "remove", "llmd")
    assert everything(yours) == before


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ("infra/front", "Gateway infra/front of class standin has not ResolvedRefs for HTTPRoute .*no kind of backend"),
        ("infra/dead", "Gateway infra/dead of class nobodys says nothing of HTTPRoute"),
    ],
)
def test_a_gateway_that_does_not_lead_there_is_named(yours: Cluster, tmp_path: Path, gateway: str, words: str) -> None:
    """Red when llm-d counts as working behind a Gateway that does not lead to it, or its reason is lost."""
    before = everything(yours)
    at = Target(yours, "20261130-000000-01a2", tmp_path, Assets(), print)
    wish = informed(Wish(values=(values(tmp_path, gateway),)), [LLMD], Objects(yours.api))
    with playing(lambda: standin.looked(yours.api, known=False)):
        with pytest.raises(ClusterError, match=words):
            install(at, HASTY, wish)
        assert remove(at, HASTY).differences == []
    assert everything(yours) == before
