"""What a user names as the source of a component: a folder or a file of manifests, else something that helm takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig


def objects_of(source: str) -> list[Manifest]:
    """The objects of a file or folder of manifests; none where it is a chart, or something that is not on this machine.

    Raises:
        ClusterError: the files hold no objects; one line says which.
    """
    path = Path(source).expanduser()
    if not source or "://" in source or not path.exists() or path.suffix in (".tgz", ".gz"):
        return []
    if path.is_dir() and (path / "Chart.yaml").exists():
        return []
    files = (
        [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix in (".yaml", ".yml", ".json"))
    )
    found = [one for file in files for one in _documents(file)]
    if not found:
        raise ClusterError(f"{source} is neither a chart (no Chart.yaml) nor does it hold manifests")
    return found


def _documents(file: Path) -> list[Manifest]:
    try:
        loaded: list[Any] = [one for one in yaml.safe_load_all(file.read_text()) if one]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(f"manifest {file} cannot be read: {' '.join(str(error).split())}") from None
    for one in loaded:
        if not dig(one, "apiVersion") or not dig(one, "kind"):
            if file.name in ("kustomization.yaml", "kustomization.yml"):
                return []
            raise ClusterError(f"manifest {file} holds something without apiVersion and kind: is it a manifest?")
    return [one for one in loaded if one["kind"] != "Kustomization"]
