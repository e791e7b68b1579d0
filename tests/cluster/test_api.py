from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gpuassay.cluster.api import JSON, Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return cluster.api


def settings(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def test_apply_owns_its_fields_and_forgets_what_it_no_longer_names(api: Api) -> None:
    api.apply(settings("applied", a="1", b="2"))
    applied = api.apply(settings("applied", a="3"))
    assert applied["data"] == {"a": "3"}
    assert applied["metadata"]["managedFields"][0]["manager"] == "gpuassay"
    api.delete("ConfigMap", "applied", "default")
    assert api.get("ConfigMap", "applied", "default") is None


def test_create_patch_replace(api: Api) -> None:
    made = api.create({**settings("", a="1"), "metadata": {"generateName": "made-", "namespace": "default"}})
    name = made["metadata"]["name"]
    assert name.startswith("made-")
    assert api.patch("ConfigMap", name, {"data": {"a": None, "b": "2"}}, "default")["data"] == {"b": "2"}
    operations = [{"op": "add", "path": "/data/c", "value": "3"}]
    patched = api.patch("ConfigMap", name, operations, "default", content_type=JSON)
    assert patched["data"] == {"b": "2", "c": "3"}
    with pytest.raises(ApiRefused) as refused:
        api.replace(made)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    api.delete("ConfigMap", name, "default")


def test_refusals_say_what_the_server_said(api: Api) -> None:
    with pytest.raises(ApiRefused) as refused:
        api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "Bad_Name", "namespace": "default"}})
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")
    assert "metadata.name" in {cause["field"] for cause in refused.value.causes}
    assert "Bad_Name" in refused.value.message
    api.delete("ConfigMap", "nothing", "default")
    with pytest.raises(ApiRefused):
        api.delete("ConfigMap", "nothing", "default", missing_ok=False)


def test_lists_come_in_pages_and_by_label(api: Api) -> None:
    marked = [settings(f"many-{n}") for n in range(510)]
    for manifest in marked:
        manifest["metadata"]["labels"] = {"many": "yes"}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(api.create, marked))
    found = api.list("ConfigMap", "default", "many=yes")
    assert len(found) == 510
    assert found[0]["kind"] == "ConfigMap"
    api.request("delete", "/api/v1/namespaces/default/configmaps", query={"labelSelector": "many=yes"})
    assert api.list("ConfigMap", "default", "many=yes") == []


def test_no_answer_is_a_cluster_error(cluster: Cluster) -> None:
    kubeconfig = cluster.directory / "kubeconfig-nowhere"
    text = cluster.kubeconfig.read_text()
    server = text.split('"server": "')[1].split('"')[0]
    kubeconfig.write_text(text.replace(server, "https://127.0.0.1:1"))
    with pytest.raises(ClusterError, match="no answer from the API server to GET /version"):
        _ = Api.from_kubeconfig(kubeconfig, direct=True).version
