"""How kind is called, with a stand-in for it. No cluster is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.kind import Kind


def program(folder: Path, script: str) -> Kind:
    file = folder / "kind"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return Kind(str(file), image="kindest/node:v1", config="a.yaml", archives=["one.tar"])


def test_kind_is_asked_for_what_the_user_chose(tmp_path: Path) -> None:
    """Red when image, configuration or archives get lost, or the user's own kubeconfig would be changed."""
    kind = program(tmp_path, f'echo "$*" >>{tmp_path}/asked')
    kind.create("lab", tmp_path / "kubeconfig")
    kind.delete("lab", tmp_path / "kubeconfig")
    at = f"--name lab --kubeconfig {tmp_path}/kubeconfig"
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"create cluster {at} --wait 300s --image kindest/node:v1 --config a.yaml",
        "load image-archive one.tar --name lab",
        f"delete cluster {at}",
    ]


def test_kind_is_told_in_its_own_words(tmp_path: Path) -> None:
    """Red when kind's refusal gets lost among its other lines, or it passes for a cluster."""
    kind = program(
        tmp_path, 'echo "Creating cluster" >&2; echo "ERROR: no space left" >&2; echo "Stack Trace:" >&2; exit 1'
    )
    assert kind.lacking() == "kind get clusters failed (1): ERROR: no space left"
    with pytest.raises(ClusterError, match=r"^kind create cluster failed \(1\): ERROR: no space left$"):
        kind.create("lab", tmp_path / "kubeconfig")


def test_a_kind_that_answers_lacks_nothing(tmp_path: Path) -> None:
    """Red when a machine that can have a cluster is skipped."""
    assert program(tmp_path, "exit 0").lacking() == ""
