"""Registries of a cluster like a user's that ask for a login: what a file as docker writes it says of them.

Kept and told to the registry's process are digests only, so that no file of the cluster holds a password.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gpuassay.cluster.errors import ClusterError


def digest(header: str) -> str:
    """Of an `Authorization` header, `Basic` with credentials (RFC 7617)."""
    return hashlib.sha256(header.removeprefix("Basic ").strip().encode()).hexdigest()


def logins(file: Path) -> Mapping[str, str]:
    """Registry, such as `private.example`, to the `digest` of the credentials that it takes.

    Raises:
        ClusterError: the file is none such as `~/.docker/config.json`; one line says why, and nothing of what is in it.
    """
    option = f"--private-registries {file}"
    try:
        loaded: Any = json.loads(file.read_bytes())
    except OSError as error:
        raise ClusterError(f"{option} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ClusterError(f"{option} is not JSON: name a file such as ~/.docker/config.json") from None
    told: Any = cast("dict[str, Any]", loaded).get("auths") if isinstance(loaded, dict) else None
    entries = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    found = {name: _credentials(one) for name, one in entries.items()}
    if not found or not all(found.values()):
        raise ClusterError(
            f"{option}: every registry under `auths` needs `auth`, or `username` and `password`, as docker login writes"
        )
    return {name: digest(one) for name, one in found.items()}


def _credentials(entry: Any) -> str:
    """As they stand in a header, "" where there are none."""
    if not isinstance(entry, dict):
        return ""
    said = cast("dict[str, Any]", entry)
    auth, user, password = said.get("auth"), said.get("username"), said.get("password")
    if isinstance(auth, str) and auth:
        return auth
    if isinstance(user, str) and isinstance(password, str) and user:
        return base64.b64encode(f"{user}:{password}".encode()).decode()
    return ""
