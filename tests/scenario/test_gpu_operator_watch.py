"""Watching somebody's GPU Operator: for how long, and what is found to be unsteady."""

from __future__ import annotations

from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.acts.watch import EVERY, QUIET, WINDOW
from gpuassay.systems.gpu_operator.judge import (
    operands,
    watch,
)
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from tests.scenario.gpu_operator_stubs import Clock, StubApi, watched

PLUGIN = "nvidia-device-plugin-daemonset"


def _pod(objects: dict[str, list[Manifest]]) -> Manifest:
    return next(one for one in objects["Pod"] if one["metadata"]["name"] == f"{PLUGIN}-gpu-a")


def _is(status: str) -> dict[str, Any]:
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}


def test_a_sound_operator_is_watched_for_the_window() -> None:
    """Red when one look is all, or a sound operator is watched for longer than it takes."""
    clock = Clock()
    looks = watched(StubApi(), clock=clock).noted(watch.LOOKS)
    assert WINDOW <= clock.now <= WINDOW + EVERY
    assert len(looks) == 2 and looks[-1].at >= WINDOW
    assert watch.unsteady_findings(looks) == []


def test_a_rollout_gets_its_time() -> None:
    """Red when a pod that is about to start is not waited for."""
    api, clock = StubApi(), Clock()
    _pod(api.objects)["status"] = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    api.at_look = lambda number, objects: number == 100 and _pod(objects).update(status=_is("True"))
    lab = watched(api, clock=clock)
    assert clock.now >= 98 * EVERY + WINDOW
    assert operands.operand_findings(lab.noted(OPERATOR)) == []
    assert watch.unsteady_findings(lab.noted(watch.LOOKS)) == []


def test_what_does_not_get_ready_by_itself_is_not_waited_for() -> None:
    """Red when a container that crashes, or a pod that is not there, is waited for to the end."""
    api, clock = StubApi(), Clock()
    waiting = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    _pod(api.objects)["status"] = {"phase": "Running", "containerStatuses": [waiting]}
    found = operands.operand_findings(watched(api, clock=clock).noted(OPERATOR))
    assert clock.now <= WINDOW + EVERY and "CrashLoopBackOff" in found[0]
    api, clock = StubApi(), Clock()
    api.objects["Pod"].remove(_pod(api.objects))
    found = operands.operand_findings(watched(api, clock=clock).noted(OPERATOR))
    assert clock.now <= QUIET + EVERY and "there is no pod" in found[0]


def test_a_pod_that_flaps_is_found() -> None:
    """Red when a pod that is ready at the first look and at the last was not in between, and nobody says so."""
    api = StubApi()
    api.at_look = lambda number, objects: _pod(objects).update(status=_is(str(number != 5)))
    lab = watched(api)
    assert operands.operand_findings(lab.noted(OPERATOR)) == []
    (found,) = watch.unsteady_findings(lab.noted(watch.LOOKS))
    assert found.startswith(f"pod {PLUGIN}-gpu-a on node gpu-a was ready, and 8 s after the first look it was not")


def test_a_policy_that_flaps_is_found_unless_pods_are_replaced() -> None:
    """Red when a state that comes and goes passes, or an update by its owner counts as one."""

    def flap(number: int, objects: dict[str, list[Manifest]]) -> None:
        objects["ClusterPolicy"][0]["status"]["state"] = "notReady" if number == 5 else "ready"

    api = StubApi()
    api.at_look = flap
    (found,) = watch.unsteady_findings(watched(api).noted(watch.LOOKS))
    assert found.startswith("ClusterPolicy cluster-policy was ready")

    def update(number: int, objects: dict[str, list[Manifest]]) -> None:
        flap(number, objects)
        if number == 5:
            _pod(objects)["metadata"]["name"] += "-new"

    api = StubApi()
    api.at_look = update
    assert watch.unsteady_findings(watched(api).noted(watch.LOOKS)) == []


def test_one_look_cannot_tell_whether_it_is_steady() -> None:
    """Red when a single look passes for a while of watching."""
    assert watch.unsteady_findings([watch.Look(0, {"a": "ready"}, {})]) != []


def test_an_upgrade_is_waited_for_and_told() -> None:
    """Red when a node in the middle of its upgrade is not waited for, or a person is not told at the end."""
    api, clock = StubApi(), Clock()
    api.objects["Node"][0]["metadata"]["labels"]["nvidia.com/gpu-driver-upgrade-state"] = "drain-required"
    lab = watched(api, clock=clock)
    assert clock.now >= 600 and "drain-required" in lab.said[0]


def test_a_node_that_waits_for_its_turn_is_not_waited_for() -> None:
    """Red when a node that may wait for hours keeps a run for as long as it may wait."""
    api, clock = StubApi(), Clock()
    api.objects["Node"][0]["metadata"]["labels"]["nvidia.com/gpu-driver-upgrade-state"] = "upgrade-required"
    assert "upgrade-required" in watched(api, clock=clock).said[0] and clock.now <= QUIET + EVERY
