"""Whole clusters, sound and ill: which behaviours of the GPU Operator turn red on each, and that no other does."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from gpuassay.systems.gpu_operator.judge import exporter, installed, mig_config, moving, offers, operands
from gpuassay.systems.gpu_operator.judge.objects import Seen
from tests.operator_shapes.ill import ILL
from tests.operator_shapes.parts import Shape
from tests.operator_shapes.sound import SOUND, TOUCHES

JUDGES: dict[str, Callable[[Seen], list[str]]] = {
    "policy-ready": installed.policy_findings,
    "operands-ready": operands.operand_findings,
    "operands-current": operands.revision_findings,
    "nodes-settled": moving.stuck_findings,
    "nodes-labelled": installed.unlabelled_findings,
    "runtime-classes": installed.runtime_class_findings,
    "versions-agree": installed.version_findings,
    "capacity-as-labelled": offers.capacity_findings,
    "nothing-stale": offers.stale_findings,
    "devices-healthy": offers.unhealthy_findings,
    "offered-once": lambda seen: [*offers.doubled_findings(seen), *offers.unoffered_findings(seen)],
    "mig-as-configured": mig_config.applied_findings,
    "metrics": exporter.metric_findings,
    "metrics-complete": exporter.coverage_findings,
}


def _judge(shape: Shape) -> None:
    found = {name: judge(shape.seen) for name, judge in JUDGES.items() if name not in shape.left_out}
    for name, findings in found.items():
        words = shape.red.get(name)
        if words is None:
            assert not findings, f"{name}: {findings}"
        else:
            assert any(words in one for one in findings), f"{name}: {findings}"
    moves = "; ".join(moving.under_way(shape.seen))
    assert shape.moving in moves and bool(shape.moving) == bool(moves), moves


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_cluster_has_no_findings(name: str) -> None:
    """Red when a behaviour is refuted on a cluster that is well."""
    shape = copy.deepcopy(SOUND[name])
    TOUCHES.get(name, lambda _: None)(shape.seen)
    _judge(shape)


@pytest.mark.parametrize("name", ILL)
def test_an_ill_cluster_turns_the_right_behaviours_red(name: str) -> None:
    """Red when an illness passes, or refutes a behaviour that it does not touch."""
    _judge(ILL[name])


def test_every_judge_is_turned_red() -> None:
    """Red when a behaviour has no cluster here on which it is refuted."""
    assert {name for one in ILL.values() for name in one.red} == set(JUDGES)
    assert len(SOUND) + len(ILL) >= 30


@pytest.mark.parametrize(
    "name", [name for name in JUDGES if name not in ("offered-once", "mig-as-configured", "operands-current")]
)
def test_of_nothing_everything_is_a_finding(name: str) -> None:
    """Red when a judge is content with a cluster on which there is nothing to look at."""
    assert JUDGES[name]({}) != []
