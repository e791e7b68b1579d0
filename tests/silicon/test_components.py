"""Files of the fake driver, and what components say about slices; no cluster is needed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.silicon import Silicon, minors, seed
from gpuassay.systems.slices.component import device_plugin, dra
from gpuassay.systems.slices.component.fake_driver import FakeDriver, fake_driver
from tests.silicon.conftest import Bench

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="device nodes are made by root alone (CAP_MKNOD)")


@needs_root
def test_the_files_of_the_driver_are_those_that_nvidias_programs_look_for(tmp_path: Path, fake_library: Path) -> None:
    """Red if a capability has no device node or no file in /proc/driver, or their numbers differ."""
    driver = fake_driver(tmp_path, Silicon.create(tmp_path / "state", ("a100-40gb",) * 2))
    listed = dict(line.split() for line in (driver.proc / "nvidia-caps/mig-minors").read_text().splitlines())
    assert listed["gpu0/gi7/access"] == "66"
    for name, minor in minors.capabilities(2):
        assert listed[name] == str(minor)
        node = driver.root / f"dev/nvidia-caps/nvidia-cap{minor}"
        assert stat.S_ISCHR(node.stat().st_mode)
        assert node.stat().st_rdev == Path("/dev/null").stat().st_rdev
    access = driver.proc / "nvidia/capabilities/gpu1/mig/gi3/ci0/access"
    assert f"DeviceFileMinor: {minors.compute_instance_minor(1, 3, 0)}\n" in access.read_text()
    assert driver.library.read_bytes() == fake_library.read_bytes()
    assert os.access(driver.hook, os.X_OK)
    fake_driver(tmp_path, driver.silicon)  # again, in place of the first


@needs_root
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, fake_library: Path) -> None:
    """Red if a full or strange disk is a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match="the fake driver's files cannot be written: Not a directory"):
        fake_driver(tmp_path / "file", Silicon.create(tmp_path / "state"))


def test_what_a_device_plugin_should_offer_follows_from_the_slices(bench: Bench, tmp_path: Path) -> None:
    """Red if the expectation counts a slice that has no MIG device, or merges profiles."""
    silicon, nvml = bench.open(("a100-40gb",) * 2)
    seed(silicon, {0: ["3g.20gb", ("1g.5gb", 4), ("1g.5gb+me", 5)], 1: ["3g.20gb"]}, bench.library)
    nvml.create_gpu_instance(nvml.gpu(1), 19, 4, 1)  # without compute instance
    driver = FakeDriver(silicon, tmp_path, tmp_path, tmp_path)
    mixed = {"nvidia.com/mig-3g.20gb": 2, "nvidia.com/mig-1g.5gb": 1, "nvidia.com/mig-1g.5gb.me": 1}
    assert device_plugin.offered(driver, "mixed") == mixed
    assert device_plugin.offered(driver, "single") == {"nvidia.com/gpu": 4}
    assert device_plugin.offered(driver, "none") == {"nvidia.com/gpu": 2}


def test_resource_slices_are_complete_only_as_a_whole_and_of_one_generation() -> None:
    """Red if a driver counts as ready while a part of its devices is missing or old."""

    def one(generation: int) -> dict[str, object]:
        return {"spec": {"pool": {"name": "node", "resourceSliceCount": 2, "generation": generation}}}

    assert not dra.complete([])
    assert not dra.complete([one(1)])
    assert not dra.complete([one(1), one(2)])
    assert dra.complete([one(2), one(2)])


def test_every_profile_has_a_class_that_serves_the_old_manifest() -> None:
    """Red if `nvidia.com/mig-<profile>` would not reach the profile of that name."""
    classes = {
        one["metadata"]["name"]: cast("dict[str, object]", one["spec"]) for one in dra.device_classes(["1g.5gb+me"])
    }
    assert set(classes) == {"gpu.nvidia.com", "mig.nvidia.com", "mig-1g.5gb.me.nvidia.com"}
    assert classes["mig-1g.5gb.me.nvidia.com"]["extendedResourceName"] == "nvidia.com/mig-1g.5gb.me"
    assert "profile == '1g.5gb+me'" in str(classes["mig-1g.5gb.me.nvidia.com"]["selectors"])
