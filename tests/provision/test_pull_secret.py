"""Credentials of a registry: taken from a file, put beside a component, named by its pods, shown nowhere."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.pull_secret import NAME, name_it, secret
from tests.cluster.served import made, served


def test_a_file_of_docker_becomes_a_secret(tmp_path: Path) -> None:
    """Red when what docker wrote does not reach the cluster as it is."""
    file = tmp_path / "config.json"
    file.write_text('{"auths": {"registry.example": {"auth": "czNjcmV0"}}}')
    found = secret(file, "there")
    assert base64.b64decode(found["data"][".dockerconfigjson"]) == file.read_bytes()
    assert (found["type"], found["metadata"]["namespace"]) == ("kubernetes.io/dockerconfigjson", "there")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("s3cret: yaml", "is not JSON"),
        ('{"credsStore": "desktop", "s3cret": 1}', "holds no credentials under `auths`"),
        ('{"auths": {"s3cret": {}}}', "holds no credentials under `auths`"),
        ('["s3cret"]', "holds no credentials under `auths`"),
    ],
)
def test_what_is_none_is_told_without_what_is_in_it(content: str, words: str, tmp_path: Path) -> None:
    """Red when pods wait for images without end, or a message shows what the file holds."""
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ClusterError, match=words) as refused:
        secret(file, "there")
    assert "s3cret" not in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(ClusterError, match="cannot be read: No such file"):
        secret(tmp_path / "none", "there")


class Patched(Objects):
    """Keeps what is patched."""

    def __init__(self, one: Manifest) -> None:
        super().__init__(served())
        self.one, self.patches = one, list[Any]()

    def get(self, ref: Ref) -> Manifest | None:
        return self.one

    def patch(self, ref: Ref, body: Any, subresource: str = "") -> None:
        self.patches.append(body)


ONE: Manifest = {"containers": [{}]}
THEIRS, OURS = {"name": "theirs"}, {"name": NAME}
CASES: list[tuple[Manifest, list[Manifest] | None]] = [
    (ONE, [OURS]),
    (ONE | {"imagePullSecrets": [THEIRS]}, [THEIRS, OURS]),
    (ONE | {"imagePullSecrets": [OURS]}, None),
    ({}, None),
]


@pytest.mark.parametrize(("spec", "expected"), CASES)
def test_pods_use_it_besides_what_they_use(spec: Manifest, expected: list[Manifest] | None) -> None:
    """Red when a chart's own Secret is dropped, or an object that makes no pods is changed."""
    one = made("apps/v1", "Deployment", "it", "there", spec={"template": {"spec": spec}})
    objects = Patched(one)
    name_it(objects, Ref.of(one))
    told = [json.loads(json.dumps(each))["spec"]["template"]["spec"]["imagePullSecrets"] for each in objects.patches]
    assert told == ([expected] if expected else [])
