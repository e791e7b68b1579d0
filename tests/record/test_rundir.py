"""What `run.json` says of the clusters of a run."""

from __future__ import annotations

import json
from pathlib import Path

from gpuassay.manifest import Manifest
from gpuassay.record import rundir


def _opened(folder: Path, provider: str, description: str) -> Manifest:
    cluster = {"provider": provider, "kubernetes": "v1.36.3", "description": description}
    rundir.describe_cluster(folder, cluster, components=[{"name": description}], emulated=[], capabilities=[provider])
    told: Manifest = json.loads((folder / "run.json").read_text())
    return told


def test_every_cluster_of_a_run_is_told_once(tmp_path: Path) -> None:
    """Red when the last cluster that opened passes for all, or one that describes itself again is told twice."""
    rundir.begin(tmp_path, mode="live", replay_of=None, mutant=None, command=["pytest"])
    for provider, description in (("embedded/T0", "a"), ("embedded/T2", "b"), ("embedded/T0", "a")):
        told = _opened(tmp_path, provider, description)
    assert told["cluster"] == {"provider": "embedded/T0 + embedded/T2", "kubernetes": "v1.36.3", "description": "a; b"}
    assert told["components"] == [{"name": "a"}, {"name": "b"}]
    assert told["capabilities"] == ["embedded/T0", "embedded/T2"]
