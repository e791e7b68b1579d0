"""A registry that asks for a login: who has none gets nothing, and no file of the cluster holds a password."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gpuassay.cluster import images
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.images import Blobs, Source
from gpuassay.cluster.whole.logins import logins
from gpuassay.cluster.whole.registry import Registry

AUTH = base64.b64encode(b"someone:s3cret").decode()
PATH = "manifests/v1"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Of a registry with one image, and a private one beside it."""
    file = tmp_path / "config.json"
    file.write_text(f'{{"auths": {{"private.example": {{"auth": "{AUTH}"}}}}}}')
    blobs = Blobs(logins=dict(logins(file)))
    blobs.add(Source(("public.example/a/tool:v1",), {"/tool": "text"}, ("/tool",)))
    served = tmp_path / "images.json"
    images.save(blobs, served)
    assert "s3cret" not in served.read_text() and AUTH not in served.read_text()
    server = Registry(("127.0.0.1", 0), served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v2/a/tool"
    server.shutdown()
    thread.join()
    server.server_close()


def asked(url: str, registry: str, auth: str = "") -> requests.Response:
    headers = {"Authorization": f"Basic {auth}"} if auth else {}
    return requests.get(f"{url}?ns={registry}", headers=headers, timeout=5)


def test_a_private_registry_serves_who_logs_in(url: str) -> None:
    """Red when an image or a blob goes to somebody without the credentials, or not to who has them."""
    manifest = f"{url}/{PATH}"
    assert asked(manifest, "public.example").status_code == 200
    refused = asked(manifest, "private.example")
    assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert asked(manifest, "private.example", base64.b64encode(b"someone:else").decode()).status_code == 401
    found = asked(manifest, "private.example", AUTH)
    assert found.status_code == 200
    blob = f"{url}/blobs/{found.json()['layers'][0]['digest']}"
    assert [asked(blob, "private.example", one).status_code for one in ("", AUTH)] == [401, 200]
    assert asked(f"{url}/manifests/v2", "private.example", AUTH).status_code == 404


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("s3cret", "is not JSON"),
        ('["s3cret"]', "needs `auth`"),
        ('{"auths": {}}', "needs `auth`"),
        ('{"auths": {"private.example": {"password": "s3cret"}}}', "needs `auth`"),
        ('{"auths": ["s3cret"]}', "needs `auth`"),
    ],
)
def test_a_file_without_credentials_is_refused(content: str, words: str, tmp_path: Path) -> None:
    """Red when a registry would be open to all, or a message shows what the file holds."""
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ClusterError, match=words) as refused:
        logins(file)
    assert "s3cret" not in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(ClusterError, match="cannot be read"):
        logins(tmp_path / "none")


def test_a_name_and_a_password_are_as_good_as_both_encoded(tmp_path: Path) -> None:
    """Red when what podman or kubectl writes is taken for other credentials."""
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(f'{{"auths": {{"a.example": {{"auth": "{AUTH}"}}}}}}')
    other.write_text('{"auths": {"a.example": {"username": "someone", "password": "s3cret"}}}')
    assert logins(one) == logins(other)
