"""Credentials for the registry of a component's images: a Secret beside it, named by each of its pod templates."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref

NAME = "gpuassay-pull"


def secret(file: Path, namespace: str) -> Manifest:
    """The Secret of a file such as `~/.docker/config.json`.

    Raises:
        ClusterError: the file is none; one line says why, and nothing of what is in it.
    """
    try:
        content = file.read_bytes()
        loaded: Any = json.loads(content)
    except OSError as error:
        raise ClusterError(f"--pull-secret: {file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ClusterError(f"--pull-secret: {file} is not JSON: name a file such as ~/.docker/config.json") from None
    auths: Any = dig(cast("Manifest", loaded), "auths", default={}) if isinstance(loaded, dict) else {}
    if not isinstance(auths, dict) or not any(cast("dict[str, object]", auths).values()):
        raise ClusterError(
            f"--pull-secret: {file} holds no credentials under `auths` (where a helper of docker keeps them, a cluster "
            "cannot reach them): make one by docker --config DIR login without credsStore"
        )
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": NAME, "namespace": namespace},
        "data": {".dockerconfigjson": base64.b64encode(content).decode()},
    }  # fmt: skip


def name_it(objects: Objects, ref: Ref) -> None:
    """Have the pods of an object use the Secret, besides those that they use; what makes no pods is left alone."""
    pod: Manifest = dig(objects.get(ref) or {}, "spec", "template", "spec", default={})
    named: list[Manifest] = pod.get("imagePullSecrets") or []
    if pod.get("containers") and {"name": NAME} not in named:
        spec = {"imagePullSecrets": [*named, {"name": NAME}]}
        objects.patch(ref, {"spec": {"template": {"spec": spec}}})
