"""Pods made for fake nodes, as kubelets run them."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest, dig
from gpuassay.workloads import core
from gpuassay.workloads.real import FOLDER, with_real_containers


def made(**options: object) -> Manifest:
    pod = core.job("one", "ns", None, **options)  # pyright: ignore[reportArgumentType]
    return dig(with_real_containers(pod, "busybox:1"), "spec", "template", "spec")


@pytest.mark.parametrize(
    ("options", "delay"),
    [({"start_delay": 1}, 1), ({"start_delay": 0}, 0), ({"start_delay": 0.2}, 1), ({"ready": False}, 0)],
)
def test_what_a_pod_says_of_its_readiness_is_probed(options: dict[str, object], delay: int) -> None:
    """Red when a pod that is to get ready late, or never, is ready as soon as it runs."""
    spec = made(**options)
    probe = spec["containers"][0]["readinessProbe"]
    assert (probe["initialDelaySeconds"], probe["periodSeconds"], probe["failureThreshold"]) == (delay, 1, 1)
    assert probe["exec"]["command"][-1] == f"! [ -s {FOLDER}/not-ready ]"
    [volume] = spec["volumes"]
    assert "not-ready" in [one["path"] for one in volume["downwardAPI"]["items"]]
    assert spec["containers"][0]["volumeMounts"] == [{"name": volume["name"], "mountPath": FOLDER}]


def test_others_have_no_probe_and_mount_only_what_they_read() -> None:
    """Red when every pod of a suite is probed once a second."""
    assert "readinessProbe" not in made()["containers"][0]
    assert "volumes" not in made(run_for=2)
    assert len(made(run_for=2, start_delay=1)["volumes"]) == 1
