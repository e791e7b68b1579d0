"""Groups that lack a pod: who admits them is found, and who keeps everybody waiting."""

from __future__ import annotations

import pytest

from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge import incomplete
from tests.judge.rests import holding, wanting
from tests.judge.test_walks import told
from tests.record.parts import MS, START

REPLACED = START + 5_000 * MS


def line(name: str, admitted: int | None) -> Timeline:
    """A Workload that is admitted so many ms after the start, or never."""
    events = [(10, wanting(name))] + ([(admitted, holding(name))] if admitted is not None else [])
    return told(*events).timelines("Workload")[name]


@pytest.mark.parametrize("group", [None, 5_500])
def test_who_waits_for_its_pod_and_lets_others_pass_is_sound(group: int | None) -> None:
    """Red when a group is accused that is admitted once it is complete, or not at all."""
    assert incomplete.findings(line("team", group), line("marker", 2_000), REPLACED) == []


def test_who_is_admitted_without_a_pod_is_found() -> None:
    """Red when a group may be admitted before its pod is made anew."""
    found = incomplete.findings(line("team", 1_000), line("marker", 2_000), REPLACED)
    assert found == [f"group team {incomplete.WITHOUT}"]


@pytest.mark.parametrize("marker", [None, 6_000])
def test_who_keeps_others_waiting_is_found(marker: int | None) -> None:
    """Red when a later Workload that fits may wait for the group, or may never be made."""
    assert len(incomplete.findings(line("team", None), line("marker", marker), REPLACED)) == 1
    assert len(incomplete.findings(line("team", None), None, REPLACED)) == 1
    assert len(incomplete.findings(None, line("marker", 2_000), REPLACED)) == 1
