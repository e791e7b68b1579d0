"""llm-d routing on somebody's cluster: installed, asked and taken away; what others have is left alone. Root only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.systems.llmd.provision import NAMESPACE, SERVICE
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster
from tests.live.test_provision import TENANT, call, everything

COMPLETIONS = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:8081/proxy/v1/completions"


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with another tenant's objects."""
    need_whole_cluster("helm", "llmd-epp", "llmd-sim")
    try:
        envoy.program()
    except ClusterError as error:
        pytest.skip(f"needs Envoy: {error}")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1) as up:
        for one in TENANT:
            up.api.create(one)
        yield up


def complete(cluster: Cluster, model: str) -> Manifest:
    """One completion through the gateway."""
    asked: Manifest = {"model": model, "prompt": "Who are you?", "max_tokens": 4}
    return json.loads(cluster.api.request("post", COMPLETIONS, asked))


def pool(name: str) -> Manifest:
    """A pool of somebody else's."""
    return {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "tenant"},
        "spec": {
            "targetPorts": [{"number": 8000}],
            "selector": {"matchLabels": {"app": name}},
            "endpointPickerRef": {"name": name, "port": {"number": 9002}},
        },
    }


def test_routing_is_installed_asked_and_taken_away_without_a_trace(yours: Cluster, tmp_path: Path) -> None:
    """Red when no completion comes, values are not heeded, or the cluster is not as before its removal."""
    before = everything(yours)
    values = tmp_path / "values.yaml"
    values.write_text("modelServers: {model: qwen, replicas: 2}\npickerProfile: approximate\n")
    call(yours, "provision", "llmd", "--values", f"llmd={values}")
    assert "does not work" not in (said := call(yours, "status")) and "Helm release llmd and manifests" in said
    assert complete(yours, "qwen")["choices"]
    picker = yours.api.get("ConfigMap", SERVICE, NAMESPACE)
    assert picker is not None and "max-score-picker" in picker["data"]["gpuassay.yaml"]
    said = call(yours, "remove", "llmd")
    assert "the cluster is as before" in said and "left" not in said
    assert everything(yours) == before


def test_an_unknown_value_is_refused_before_anything_is_made(yours: Cluster, tmp_path: Path) -> None:
    """Red when a slip in the values is passed over, or leaves something behind."""
    before = everything(yours)
    values = tmp_path / "values.yaml"
    values.write_text("modelServers: {replicaz: 2}\n")
    said = call(yours, "provision", "llmd", "--values", f"llmd={values}", code=2)
    assert "unknown field `replicaz`" in said and str(values) in said
    assert everything(yours) == before


def _apply(yours: Cluster, manifest: Manifest) -> None:
    """Apply it once discovery tells of its kind, which may be after its path answers."""
    ref = Ref.of(manifest)
    known = wait(
        lambda: Objects(yours.api), lambda new: new.kind(ref) is not None, what=f"discovery to tell of {ref.kind}",
        timeout=60,
    )  # fmt: skip
    known.apply(ref, manifest)


def test_definitions_that_were_there_are_used_and_stay(yours: Cluster) -> None:
    """Red when definitions of somebody else's go with our routing, or keep it from being installed."""
    module = toolchain.module_dir("llmd-epp", crds.MODULE, yours.assets)
    theirs = crds.definitions(module)[:1]
    try:
        for one in theirs:
            yours.api.apply(one)
        crds.wait_served(yours, crds.INFERENCE_POOL)
        _apply(yours, pool("theirs"))
        before = everything(yours)
        call(yours, "provision", "llmd")
        _apply(yours, pool("later"))
        call(yours, "remove", "llmd")  # the later pool keeps its definition, so it is no reason against
        Objects(yours.api).delete(Ref.of(pool("later")))
        assert everything(yours) == before
    finally:
        for one in theirs:
            Objects(yours.api).delete(Ref.of(one))


def test_somebody_elses_routing_is_used_and_pools_of_others_keep_ours(yours: Cluster) -> None:
    """Red when a pool of somebody's goes with our definitions, or a picker of somebody else's is touched."""
    before = everything(yours)
    call(yours, "provision", "llmd")
    _apply(yours, pool("theirs"))
    assert "in use by InferencePool tenant/theirs" in call(yours, "remove", "llmd", code=2)
    noted = yours.api.get("ConfigMap", "llmd", "gpuassay")
    assert noted is not None
    yours.api.delete("ConfigMap", "llmd", "gpuassay")  # from now on nothing says that it is ours
    installed = everything(yours)
    assert f"somebody else's: v0.7.1 in {NAMESPACE}, Helm release llmd" in (said := call(yours, "status"))
    assert "does not work" not in said
    assert "used as it is, somebody else's" in call(yours, "provision", "llmd")
    assert "was not installed by gpuassay" in call(yours, "remove", "llmd", code=2)
    assert "it is left alone" in call(yours, "remove", "llmd", "--force", code=2)
    assert everything(yours) == installed
    del noted["metadata"]["resourceVersion"]
    yours.api.create(noted)
    call(yours, "remove", "llmd", "--force")
    assert everything(yours) == before
