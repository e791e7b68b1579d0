"""Kubeconfig files of embedded clusters. They name certificate files: no client has to unpack keys into temp files."""

from __future__ import annotations

import json
from pathlib import Path

from gpuassay.cluster.certificates import Pair, write_private


def write_kubeconfig(path: Path, server: str, authority: Path, user: str, pair: Pair, cluster: str) -> Path:
    """Write a kubeconfig (JSON, which is YAML) for one user of one cluster."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": user, "user": {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    return write_private(path, json.dumps(body, indent=1).encode())


def server_of(kubeconfig: Path) -> str:
    """URL of the API server that a kubeconfig of ours names."""
    return str(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
