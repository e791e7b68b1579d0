"""What cannot be installed, or is disturbed, is told in one line, and nothing of it stays. Root only."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Provided, Wish
from gpuassay.provision.install import Target, install
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.remove import remove
from gpuassay.systems.slices.provision import DEVICE_PLUGIN, PLUGIN
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait
from tests.cluster.conftest import need_whole_cluster
from tests.live.cut import way_to
from tests.live.proof import ROOT, call, command, everything
from tests.live.proof_uses import there
from tests.live.test_provision_rights import identity

HASTY = replace(PLUGIN, seconds=40)
QUOTA: Manifest = {
    "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": DEVICE_PLUGIN},
    "spec": {"hard": {"pods": "0"}},
}  # fmt: skip
DEAD: Manifest = {
    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "dead"},
    "webhooks": [{
        "name": "dead.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 2,
        "clientConfig": {"service": {"namespace": "tenant", "name": "nobody"}},
        "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["*"]}],
    }],
}  # fmt: skip


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A node with fake GPUs, and another tenant's namespace."""
    need_whole_cluster("helm", "nvidia-device-plugin", "kueue")
    with like_yours(directory=tmp_path_factory.mktemp("yours"), nodes=1, gpus=("a100-40gb",)) as up:
        up.api.create(namespace("tenant"))
        yield up


@pytest.fixture(autouse=True)
def as_before(yours: Cluster) -> Generator[None]:
    """Whatever goes wrong, the cluster is as it was."""
    before = everything(yours)
    yield
    wait(lambda: everything(yours), lambda now: now == before, what="the cluster to be as before", timeout=30, delay=1)


def namespace(name: str, **more: object) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **more}}


@pytest.fixture
def refused(yours: Cluster, tmp_path: Path) -> Callable[..., str]:
    """Installs what cannot be had, takes away what was begun, and gives the one line that said why."""
    said: list[str] = []
    site = Target(yours, "20261130-000000-bad0", tmp_path, Assets(), said.append)

    def attempt(provided: Provided = HASTY, wish: Wish | None = None) -> str:
        with pytest.raises(ClusterError) as error:
            install(site, provided, wish or Wish())
        if yours.api.get("ConfigMap", provided.name, "gpuassay"):
            assert remove(site, provided).differences == []
        assert "\n" not in str(error.value)
        return str(error.value)

    return attempt


def test_an_image_that_cannot_be_pulled(refused: Callable[..., str]) -> None:
    """Red when the reason is left to `kubectl describe`."""
    said = refused(HASTY, Wish(mirror="nowhere.example/x"))
    assert "NVIDIA device plugin does not work" in said and "nowhere.example/x/nvidia/k8s-device-plugin" in said
    assert "ErrImagePull" in said or "ImagePullBackOff" in said


def test_a_quota_that_forbids_our_pods(yours: Cluster, refused: Callable[..., str]) -> None:
    """Red when a quota is not named, or the namespace of its owner goes with what was begun."""
    with there(yours, namespace(DEVICE_PLUGIN), QUOTA):
        assert "exceeded quota: none" in refused()
        assert yours.api.get("Namespace", DEVICE_PLUGIN)


def test_a_namespace_that_is_being_deleted(yours: Cluster, refused: Callable[..., str]) -> None:
    """Red when something is made that goes at once, or a namespace that hangs is waited for."""
    kept = {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kept", "namespace": DEVICE_PLUGIN, "finalizers": ["example.org/kept"]}}  # fmt: skip
    with there(yours, namespace(DEVICE_PLUGIN)) as objects:
        objects.apply(Ref.of(kept), kept)
        objects.delete(Ref("v1", "Namespace", "", DEVICE_PLUGIN))
        assert f"namespace {DEVICE_PLUGIN} is being deleted" in refused()
        objects.patch(Ref.of(kept), {"metadata": {"finalizers": None}})


def test_definitions_of_another_version(yours: Cluster) -> None:
    """Red when definitions that nobody serves pass for a Kueue that works, or are replaced."""
    names = {"kind": "Workload", "plural": "workloads", "singular": "workload"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition: Manifest = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "workloads.kueue.x-k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved"}},
        "spec": {"group": "kueue.x-k8s.io", "scope": "Namespaced", "names": names,
                 "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}]},
    }  # fmt: skip
    with there(yours, definition):
        wait(lambda: Objects(yours.api).kinds, lambda kinds: ("kueue.x-k8s.io/v1alpha1", "Workload") in kinds,
             what="the kind to be served", timeout=30)  # fmt: skip
        said = call(yours, "provision", "kueue", code=2)
        assert "definitions without a manager" in said and "Kueue does not work" in said


def test_a_webhook_of_a_dead_operator(yours: Cluster, refused: Callable[..., str]) -> None:
    """Red when a webhook that is not ours is not named, or half an installation stays behind it."""
    with there(yours, DEAD):
        said = refused()
        assert "dead.example.org" in said and "gpuassay doctor --cluster existing" in said


def test_the_api_server_is_restarted(yours: Cluster, tmp_path: Path) -> None:
    """Red when an installation or a removal breaks off because the API server is away for a moment."""
    with disturbed(yours, tmp_path, lambda: restart(yours)) as said:
        assert "ours (run" in said


def test_the_network_is_cut(yours: Cluster, tmp_path: Path) -> None:
    """Red when a network that is away for a minute breaks off an installation that has been begun."""
    with way_to(yours.kubeconfig, tmp_path) as (way, kubeconfig):
        by_the_way = replace(yours, kubeconfig=kubeconfig)
        with disturbed(by_the_way, tmp_path, lambda: way.cut_for(60)) as said:
            assert "ours (run" in said


class disturbed:  # noqa: N801 - reads as the context that it is
    """An installation during which something happens once its pods are awaited, and its removal."""

    def __init__(self, cluster: Cluster, folder: Path, happen: Callable[[], object]) -> None:
        self.cluster, self.happen, self.log = cluster, happen, folder / "said"

    def __enter__(self) -> str:
        with self.log.open("w") as out:
            begun = subprocess.Popen(command(self.cluster, "provision", "device-plugin"), cwd=ROOT, stdout=out,
                                     stderr=subprocess.STDOUT)  # fmt: skip
            released = f"sh.helm.release.v1.{DEVICE_PLUGIN}.v1"

            def deployed() -> bool:
                assert begun.poll() is None, self.log.read_text()
                found = self.cluster.api.get("Secret", released, DEVICE_PLUGIN)
                return dig(found or {}, "metadata", "labels", "status", default="") == "deployed"

            wait(deployed, bool, what="helm to have ended", timeout=120)
            self.happen()
            assert begun.wait(300) == 0, self.log.read_text()
        return self.log.read_text()

    def __exit__(self, *_: object) -> None:
        assert "the cluster is as before" in call(self.cluster, "remove", "device-plugin")


def restart(cluster: Cluster) -> None:
    """End the API server by SIGKILL, and start it again."""
    old = cluster.processes["kube-apiserver"]
    argv = Path(f"/proc/{old.pid}/cmdline").read_bytes().rstrip(b"\0").decode().split("\0")
    cwd, env = Path(f"/proc/{old.pid}/cwd").resolve(), dict(os.environ)
    old.kill()
    cluster.supervisor.start("kube-apiserver", argv, old.log, cwd=cwd, env=env)


def test_two_at_once(yours: Cluster) -> None:
    """Red when two installations of one component meet and one breaks, or the other's goes with it."""
    runs = [
        subprocess.Popen(command(yours, "provision", "device-plugin"), cwd=ROOT, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]  # fmt: skip
    said = [one.communicate(timeout=300)[0] for one in runs]
    codes = sorted(one.returncode for one in runs)
    assert codes in ([0, 0], [0, 2]), said
    lost = [text for one, text in zip(runs, said, strict=True) if one.returncode == 2]
    assert all("is being provisioned by run" in text for text in lost), said
    assert "does not work" not in call(yours, "status")
    call(yours, "remove", "device-plugin")


def test_without_rights(yours: Cluster, tmp_path: Path) -> None:
    """Red when an identity that may read only gets half an installation, or no word on what it lacks."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    with identity(yours, rules, tmp_path) as reader:
        said = call(reader, "provision", "device-plugin", code=2)
        assert "this identity may not " in said and "--rights prints the role that suffices" in said


def test_an_interruption_takes_nothing_away_that_is_not_noted(yours: Cluster) -> None:
    """Red when Ctrl-C during an installation leaves something that `gpuassay remove` does not find."""
    with subprocess.Popen(command(yours, "provision", "device-plugin"), cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as begun:  # fmt: skip
        assert begun.stdout is not None
        for line in begun.stdout:
            if line.startswith("installing"):
                break
        begun.send_signal(signal.SIGINT)
        rest = begun.stdout.read()
    assert "Traceback" not in rest
    if "nothing here is ours" not in call(yours, "remove"):
        assert "the cluster is as before" in call(yours, "remove", "device-plugin")
