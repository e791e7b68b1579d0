"""Books that lie on a node: checkpoints of driver and kubelet, CDI files, containers as the runtime has them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.cluster.node import cgroups
from gpuassay.systems.slices.acts import accounts
from gpuassay.systems.slices.notes import Contained

CLAIM = "597ec6a4-6748-44c5-8f2d-c3d02287f9f6"
DEVICE = re.compile(r"gpu-(\d+)-mig-([\w-]+?)-\d+-(\d+)")
ALIVE, ENDED, LOST = "a" * 64, "b" * 64, "c" * 64


def test_the_drivers_checkpoint_is_read(tmp_path: Path) -> None:
    """Red when a claim whose preparation began is overlooked, or a driver without a checkpoint is an error."""
    assert accounts.prepared(tmp_path / "none.json") == {}
    results = {"allocation": {"devices": {"results": [{"device": "gpu-0-mig-1g5gb-19-0"}]}}}
    content = {"v2": {"preparedClaims": {CLAIM: {"checkpointState": "PrepareStarted", "status": results}}}}
    file = tmp_path / "checkpoint.json"
    file.write_text(json.dumps(content))
    assert accounts.prepared(file) == {CLAIM: ["gpu-0-mig-1g5gb-19-0"]}
    file.write_text('{"checksum": 1, "v2": {}}')
    assert accounts.prepared(file) == {}


def test_cdi_files_are_read(tmp_path: Path) -> None:
    """Red when a device of a claim's file is missed, or one that stands there twice counts twice."""
    assert accounts.named_in_cdi(tmp_path / "none", DEVICE) == {}
    (tmp_path / f"k8s.gpu.nvidia.com-claim_{CLAIM}.json").write_text("gpu-0-mig-1g5gb-19-0 gpu-0-mig-1g5gb-19-0")
    (tmp_path / "k8s.gpu.nvidia.com-device.json").write_text("gpu-1-mig-1g5gb-19-0")
    assert accounts.named_in_cdi(tmp_path, DEVICE) == {CLAIM: ["gpu-0-mig-1g5gb-19-0"]}


def test_the_kubelets_checkpoint_is_read(tmp_path: Path) -> None:
    """Red when devices of several resources of a pod are not put together."""
    file = tmp_path / "kubelet_internal_checkpoint"
    assert accounts.booked(file) == {}
    entries = [
        {"PodUID": "p", "DeviceIDs": {"-1": ["MIG-b"]}},
        {"PodUID": "p", "DeviceIDs": {"-1": ["MIG-a", "MIG-b"]}},
    ]
    file.write_text(json.dumps({"Data": {"PodDeviceEntries": entries}}))
    assert accounts.booked(file) == {"p": ["MIG-a", "MIG-b"]}


def _bundle(folder: Path, id_: str, name: str, *, kind: str = "container") -> None:
    told = {"sandbox-uid": "u", "sandbox-name": "pod", "container-name": name, "container-type": kind}
    spec = {
        "annotations": {f"io.kubernetes.cri.{key}": value for key, value in told.items()},
        "process": {"env": ["NVIDIA_VISIBLE_DEVICES=MIG-a"]},
        "linux": {"devices": [{"path": "/dev/nvidia-caps/nvidia-cap12"}]},
    }
    (folder / id_).mkdir(parents=True)
    (folder / id_ / "config.json").write_text(json.dumps(spec))


def test_containers_are_those_of_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a live container looks ended or the reverse, a sandbox counts, or processes without a task go unseen."""
    bundles = tmp_path / accounts.BUNDLES.lstrip("/")
    _bundle(bundles, ALIVE, "main")
    _bundle(bundles, ENDED, "before")
    _bundle(bundles, "d" * 64, "", kind="sandbox")
    (bundles / ("e" * 64)).mkdir()
    (bundles / ("e" * 64) / "config.json").write_text('{"annotations"')
    for id_, processes in ((ALIVE, "17\n18\n"), (ENDED, ""), (LOST, "19\n")):
        place = tmp_path / "cgroup" / "node" / "kubepods" / id_
        place.mkdir(parents=True)
        (place / "cgroup.procs").write_text(processes)
    found = [cgroups.Hierarchy(tmp_path / "cgroup", 2, frozenset())]
    monkeypatch.setattr(cgroups, "hierarchies", lambda: found)

    def at(path: str) -> Path:
        return tmp_path / path.lstrip("/")

    paths = SimpleNamespace(at=at)
    asked: list[str] = []

    def resolve(said: str) -> list[str]:
        asked.append(said)
        return ["MIG-a"]

    seen = accounts.contained(cast(Any, SimpleNamespace(paths=paths, cgroup="node")), resolve)
    assert seen == [
        Contained("u", "pod", "main", ["MIG-a"], 2),
        Contained("u", "pod", "before", ["MIG-a"], 0),
        Contained("", "", LOST, [], 1),
    ]
    assert "\nNVIDIA_VISIBLE_DEVICES=MIG-a\nnvidia-cap12" in asked[0]
