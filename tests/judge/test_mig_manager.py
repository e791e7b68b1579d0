"""The judge of the MIG manager: content with its documented course, and a finding for each way to leave it."""

from __future__ import annotations

import msgspec
import pytest

from gpuassay.systems.gpu_operator.judge.mig_manager import (
    CONFIG,
    DEPLOY,
    STATE,
    Recut,
    change_findings,
    recut_findings,
)

PLUGIN = f"{DEPLOY}device-plugin"


def _course(*states: str, deployed: str = "true", config: str = "new") -> list[dict[str, str]]:
    """The labels of a node that was content before, and then goes through `states`."""
    before = {CONFIG: "old", STATE: "success", PLUGIN: "true"}
    taken = before | {CONFIG: config}
    paused = [taken | {STATE: state, PLUGIN: "paused-for-mig-change"} for state in states]
    return [before, taken, *paused, taken | {STATE: states[-1], PLUGIN: deployed}]


@pytest.mark.parametrize("states", [("pending", "success"), ("pending", "rebooting", "success")])
def test_the_documented_course_has_no_findings(states: tuple[str, ...]) -> None:
    """Red when a course that NVIDIA documents is a finding."""
    assert change_findings(_course(*states)) == []


@pytest.mark.parametrize(
    ("course", "finding"),
    [
        (_course("pending", "failed"), "the state in the end is failed"),
        (_course("pending"), "the state in the end is pending"),
        (_course("success"), "never was pending"),
        (_course("pending", "success", "pending", "success"), "state pending followed success"),
        (_course("pending", "success", deployed="paused-for-mig-change"), "device-plugin is 'paused-for-mig-change'"),
        (_course("pending", "success")[:1], "never was pending"),
        ([], "nothing was seen"),
    ],
)
def test_every_other_course_is_a_finding(course: list[dict[str, str]], finding: str) -> None:
    """Red when a failed, endless, missing or repeated change passes, or operands that stay paused."""
    assert any(finding in one for one in change_findings(course))


def test_both_ways_and_the_configuration_count() -> None:
    """Red when the way back, or the configuration itself, is not looked at."""
    right = _course("pending", "success")
    recut = Recut("gpu-a", trial="new", former="old", there=right, back=right)
    assert recut_findings(recut) == []
    (found,) = recut_findings(msgspec.structs.replace(recut, offered_there=["node gpu-a: labels count no slice"]))
    assert found == "cut as new, node gpu-a: labels count no slice"
    assert recut_findings(msgspec.structs.replace(recut, offered_back=["2 of nvidia.com/mig-3g.20gb are offered"]))
    assert recut_findings(msgspec.structs.replace(recut, back=_course("pending", "failed"))) != []
    assert recut_findings(msgspec.structs.replace(recut, there=_course("pending", "success", config="old"))) != []
