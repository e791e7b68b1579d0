"""A component from a registry that asks for a login: with `--pull-secret` its pods get there, without they say why not.

The registry is one of ours on a cluster like a user's. Root only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.like_yours import like_yours
from gpuassay.manifest import dig
from gpuassay.provision.component import Wish
from gpuassay.provision.install import Target, install
from gpuassay.provision.pull_secret import NAME
from gpuassay.provision.registry import component
from gpuassay.provision.remove import remove
from gpuassay.toolchain import Assets
from tests.cluster.conftest import need_programs, need_whole_cluster
from tests.live.test_provision import call, everything

MIRROR = "private.example"
PASSWORD = "s3cret-of-the-registry"


def credentials(folder: Path, password: str) -> Path:
    """A file as docker writes it."""
    file = folder / f"{len(password)}.json"
    auth = base64.b64encode(f"someone:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {MIRROR: {"auth": auth}}}))
    return file


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a private registry."""
    need_whole_cluster("helm")
    need_programs("jobset")
    folder = tmp_path_factory.mktemp("yours")
    with like_yours(directory=folder / "cluster", nodes=1, private=credentials(folder, PASSWORD)) as up:
        yield up


def test_a_component_comes_from_a_registry_that_asks_for_a_login(yours: Cluster, tmp_path: Path) -> None:
    """Red when its pods do not get the credentials, its images come from elsewhere, or a trace of the Secret stays."""
    before = everything(yours)
    file = credentials(tmp_path, PASSWORD)
    said = call(yours, "provision", "jobset", "--mirror", MIRROR, "--pull-secret", str(file))
    pods = yours.api.list("Pod", component("jobset").namespace)
    running = [one for one in pods if not dig(one, "metadata", "deletionTimestamp")]
    images = [each["image"] for one in running for each in dig(one, "spec", "containers")]
    assert images and all(one.startswith(f"{MIRROR}/") for one in images), images
    assert all({"name": NAME} in dig(one, "spec", "imagePullSecrets") for one in running)
    ready = [each["ready"] for one in running for each in dig(one, "status", "containerStatuses")]
    assert ready and all(ready)
    said += call(yours, "status") + call(yours, "remove", "jobset")
    assert "the cluster is as before" in said and PASSWORD not in said
    assert everything(yours) == before
    files = [one for one in yours.directory.rglob("*") if one.is_file() and "etcd" not in one.parts]
    assert not [one for one in files if PASSWORD.encode() in one.read_bytes()]


def test_without_credentials_pods_say_what_they_lack(yours: Cluster, tmp_path: Path) -> None:
    """Red when pods that ran before hide that a registry refuses the newest, or its reason is not told."""
    before = everything(yours)
    at = Target(yours, "20261130-000000-01a1", tmp_path, Assets(), print)
    hasty = replace(component("jobset"), seconds=40)
    with pytest.raises(ClusterError, match=MIRROR) as refused:
        install(at, hasty, Wish(mirror=MIRROR))
    assert "authorization failed" in str(refused.value) or "401 Unauthorized" in str(refused.value)
    assert remove(at, hasty).differences == []
    assert everything(yours) == before
