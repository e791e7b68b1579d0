"""Why a pod does not run, in a line."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.provision.pods import MOST, trouble
from tests.cluster.served import made


def waiting(message: str) -> Manifest:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    return made("v1", "Pod", "it", "there", status={"containerStatuses": [{"name": "main", "state": state}]})


def test_a_long_reason_keeps_its_beginning_and_its_end() -> None:
    """Red when the cause is cut off: programs write it last."""
    said = trouble(waiting(f"Back-off pulling image {'and so on ' * 50}: 401 Unauthorized"))
    assert "Back-off pulling image" in said and said.endswith("401 Unauthorized")
    assert len(said) < MOST + 80


def test_a_short_reason_is_told_whole() -> None:
    """Red when words of it are lost or told twice."""
    assert trouble(waiting("no\nsuch image")) == "container main: ImagePullBackOff: no such image"
