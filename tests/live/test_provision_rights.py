"""The role that `gpuassay provision --rights` prints suffices, and every right in it is needed or told. Root only."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.kubeconfig import server_of
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest
from tests.cluster.conftest import need_whole_cluster
from tests.live.proof import call, everything
from tests.live.proof_uses import there

NAME, PLACE = "provisioner", "tenant"


@contextmanager
def identity(cluster: Cluster, rules: Sequence[Manifest], folder: Path) -> Generator[Cluster]:
    """The cluster as a ServiceAccount with these rules sees it, for the length of a `with` block."""
    rbac = "rbac.authorization.k8s.io"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": PLACE}}
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": list(rules)}
    binding = {
        "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": PLACE}],
    }  # fmt: skip
    with there(cluster, account, role, binding):
        asked: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{PLACE}/serviceaccounts/{NAME}/token"
        token = json.loads(cluster.api.request("post", path, asked))["status"]["token"]
        loaded = yaml.safe_load(cluster.kubeconfig.read_text())
        known: Manifest = {"server": server_of(cluster.kubeconfig)} | {
            key: value for key, value in loaded["clusters"][0]["cluster"].items() if key.startswith("certificate")
        }
        kubeconfig = folder / "kubeconfig-of-a-service-account"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": known}], "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))  # fmt: skip
        kubeconfig.chmod(0o600)
        yield replace(cluster, kubeconfig=kubeconfig)


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A node with fake GPUs, and another tenant's namespace."""
    need_whole_cluster("helm", "nvidia-device-plugin", "kueue")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1, gpus=("a100-40gb",)) as up:
        up.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
        yield up


@pytest.mark.parametrize("name", ["device-plugin", "kueue"])
def test_the_printed_role_suffices_and_no_less(yours: Cluster, tmp_path: Path, name: str) -> None:
    """Red when the role lacks something for installation, status or removal, or the lack of a right is not named."""
    before = everything(yours)
    rules: list[Manifest] = yaml.safe_load(call(yours, "provision", name, "--rights"))["rules"]
    kind, group = ("deployments", "apps") if name == "kueue" else ("daemonsets", "apps")
    without = [_without(one, group, kind) for one in rules]
    with identity(yours, without, tmp_path) as lesser:
        said = call(lesser, "provision", name, code=2)
        assert f"may not create {kind}.{group}; gpuassay provision {name} --rights" in said
    assert everything(yours) == before
    with identity(yours, rules, tmp_path) as able:
        call(able, "provision", name)
        assert "does not work" not in call(able, "status")
        assert "the cluster is as before" in call(able, "remove", name)
    assert everything(yours) == before


def _without(rule: Manifest, group: str, resource: str) -> Manifest:
    """The rule, less the creation of one resource."""
    if group not in rule["apiGroups"] or resource not in rule["resources"]:
        return rule
    assert rule["resources"] == [resource], "alike rights of several resources are one rule: name another"
    return rule | {"verbs": [one for one in rule["verbs"] if one != "create"]}
