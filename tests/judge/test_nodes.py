"""Judges of a real kubelet's work refuse doctored recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gpuassay.systems.slices.judge import nodes
from gpuassay.systems.slices.readings import SlicesRecording

SECOND = 1_000_000_000


def pod(name: str = "one", *, container: str = "a", running: bool = True, ready: bool = False, exit: int | None = None,
        phase: str = "Running") -> dict[str, Any]:  # fmt: skip
    state: dict[str, Any] = {"running": {}} if running else {"waiting": {}}
    if exit is not None:
        state = {"terminated": {"exitCode": exit}}
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": "main", "containerID": container, "state": state}],
    }
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "ns", "uid": f"u-{name}"}, "status": status}


def recorded(*states: tuple[float, Mapping[str, Any]]) -> SlicesRecording:
    events = [{"at": int(at * SECOND), "type": "MODIFIED", "object": dict(seen)} for at, seen in states]
    return SlicesRecording.of_parts(events=events)


def test_the_last_exit_code_counts() -> None:
    seen = recorded((1, pod()), (2, pod(exit=7)))
    assert nodes.exit_codes(seen, "one") == {"main": 7}


def test_a_container_that_runs_has_no_exit_code() -> None:
    assert nodes.exit_codes(recorded((1, pod())), "one") == {}


def test_readiness_is_counted_from_the_running_container() -> None:
    seen = recorded((1, pod(running=False)), (2, pod()), (4.5, pod(ready=True)))
    assert nodes.ready_after(seen, "one") == pytest.approx(2.5)


def test_ready_at_once_is_zero_and_never_is_none() -> None:
    assert nodes.ready_after(recorded((1, pod(running=False)), (2, pod(ready=True))), "one") == 0
    assert nodes.ready_after(recorded((1, pod())), "one") is None


@pytest.mark.parametrize("after", [pod(container="b"), pod(phase="Failed", exit=1)])
def test_another_container_or_another_phase_is_told(after: Mapping[str, Any]) -> None:
    assert nodes.changed_containers(recorded((1, pod()), (3, after)), 2 * SECOND, ["one"])


def test_a_container_that_did_not_run_cannot_go_on() -> None:
    """Red when containers that had ended before the mark, or never were, count as having outlived it."""
    ended = pod(container="a", running=False)
    (told,) = nodes.changed_containers(recorded((1, ended), (9, ended)), 5_000_000_000, ["one"])
    assert told == "one: no container ran at the mark, so that none could go on"


def test_the_same_container_is_no_change_whatever_else_changes() -> None:
    assert nodes.changed_containers(recorded((1, pod()), (3, pod(ready=True))), 2 * SECOND, ["one"]) == []


def test_what_happens_after_the_last_look_is_no_change() -> None:
    ended = recorded((1, pod()), (3, pod(ready=True)), (5, pod(phase="Succeeded")))
    assert nodes.changed_containers(ended, 2 * SECOND, ["one"], until=4 * SECOND) == []
    assert nodes.changed_containers(ended, 2 * SECOND, ["one"], until=6 * SECOND)


def test_a_pod_that_was_not_there_is_an_error_and_no_pass() -> None:
    with pytest.raises(LookupError):
        nodes.changed_containers(recorded((3, pod())), 2 * SECOND, ["one"])
    with pytest.raises(LookupError):
        nodes.first_ready(recorded((3, pod())), "one")
    with pytest.raises(LookupError):
        nodes.last_seen(recorded((3, pod())), "two")
