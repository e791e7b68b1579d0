"""Missing programs are built beside the run: order, failures, an end at any moment. Builds are shell scripts here."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.engine.builds import Builds, command_of
from gpuassay.engine.pools import ClusterPool, programs_of
from gpuassay.system import pool
from gpuassay.toolchain import Assets, ToolchainError, UnobtainableError
from gpuassay.toolchain.catalogue import GROUPS, NODE, required
from gpuassay.waiting import wait

KUEUE, KWOK, EPP = "kueue", "kwok", "llmd-epp"


def scripts(**by_name: str) -> Callable[[str, Assets, bool], Sequence[str]]:
    """Commands that run a shell script for each component (dashes as underscores), else `true`."""
    return lambda name, _assets, _background: ["/bin/sh", "-c", by_name.get(name.replace("-", "_"), "true")]


def builds(
    folder: Path, *names: str, first: Sequence[str] = (), said: list[str] | None = None, **by_name: str
) -> Builds:
    lines = said if said is not None else []
    return Builds(names, first, Assets(), folder / "builds", lines.append, scripts(**by_name))


def test_they_are_built_one_after_the_other_in_the_given_order(tmp_path: Path) -> None:
    """Red if two compilers compete, or the first pool waits for what only a later one needs."""
    order = tmp_path / "order"
    made = builds(
        tmp_path, KUEUE, KWOK,
        kueue=f"echo kueue begins >> {order}; sleep 0.2; echo kueue ends >> {order}", kwok=f"echo kwok >> {order}",
    )  # fmt: skip
    made.start()
    assert made.wait_for([KUEUE, KWOK]) == {}
    assert order.read_text().splitlines() == ["kueue begins", "kueue ends", "kwok"]
    assert not made.busy


def test_what_is_there_already_is_not_waited_for(tmp_path: Path) -> None:
    made = builds(tmp_path, KUEUE, kueue="sleep 60")
    made.start()
    assert made.wait_for([KWOK]) == {}
    made.stop()


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("echo gpuassay: no registry; exit 3", UnobtainableError, "no registry"),
        ("echo 'gpuassay: no space left'; exit 2", ToolchainError, "no space left"),
        ("kill -9 $$", ToolchainError, "the build of kueue was killed by signal 9; the next run builds it again"),
        ("exit 1", ToolchainError, "it printed nothing"),
    ],
)
def test_a_build_that_fails_is_told_in_one_line_and_the_next_goes_on(
    tmp_path: Path, script: str, kind: type[Exception], message: str
) -> None:
    """Red if one failure takes the others along, or its reason is lost."""
    said: list[str] = []
    made = builds(tmp_path, KUEUE, KWOK, said=said, kueue=script)
    made.start()
    problems = made.wait_for([KUEUE, KWOK])
    assert {name: type(problem) for name, problem in problems.items()} == {KUEUE: kind}
    assert str(problems[KUEUE]) == message
    assert f"no kueue: {message}" in said
    assert [one["problem"] for one in made.told()] == [message, ""]


def test_stopping_ends_the_build_with_all_it_started_and_whoever_waits(tmp_path: Path) -> None:
    """Red if a compiler outlives an interrupted run, or a pool waits for ever."""
    pid = tmp_path / "pid"
    made = builds(tmp_path, KUEUE, KWOK, kueue=f"sleep 600 & echo $! > {pid}; wait")
    made.start()
    wait(lambda: pid.exists() and pid.read_text().strip(), bool, what="the build to begin")
    waiting: list[Exception] = []

    def wait_for_both() -> None:
        try:
            made.wait_for([KUEUE, KWOK])
        except ToolchainError as error:
            waiting.append(error)

    thread = threading.Thread(target=wait_for_both)
    thread.start()
    made.stop()
    thread.join(10)
    assert [str(one) for one in waiting] == ["kueue: the run ended before it was built"]

    def gone() -> bool:
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return True
        return False

    wait(gone, bool, what="the compiler to be gone")


def test_a_recording_knows_what_was_built_meanwhile(tmp_path: Path) -> None:
    """Red if a scenario beside a build looks like one on a quiet machine, or one after it like one beside it."""
    made = builds(tmp_path, KUEUE, KWOK, kueue="sleep 0.1")
    before = time.time_ns()
    made.start()
    made.wait_idle()
    after = time.time_ns() + 1
    assert made.beside("early", 0, before - 1) == []
    assert made.beside("meanwhile", before, after) == [KUEUE, KWOK]
    assert made.beside("late", after, after + 1) == []
    assert [one["recordings_beside"] for one in made.told()] == [["meanwhile"], ["meanwhile"]]


def test_the_forecast_names_what_is_built_and_when_the_first_verdicts_come(tmp_path: Path) -> None:
    told = builds(tmp_path, KUEUE, EPP, first=[KUEUE]).forecast()
    assert told[0].startswith("to be built from Go modules, once: kueue (")
    assert "llmd-epp (" in told[0]
    assert told[1].startswith("the first verdicts come in about ")
    assert builds(tmp_path).forecast() == []


def test_only_what_no_pool_can_begin_without_is_built_at_full_speed() -> None:
    assert command_of(KUEUE, Assets(), False)[1:] == ["-m", "gpuassay", "build", "kueue"]
    assert command_of(KUEUE, Assets({"kwok": Path("/x")}, {}), True)[-2:] == ["--background", "--asset=kwok=/x"]


def test_a_pool_waits_for_required_programs_and_for_optional_ones_that_were_asked_for() -> None:
    """Red if `make suite` without root builds a kubelet, or as root does not."""
    queueing, routing = pool("cluster"), pool("cluster-routing")
    slicing = replace(pool("cluster-slices"), lacking=lambda: None)
    assert set(programs_of(ClusterPool(queueing, ()), ["runc"])) == set(queueing.programs) <= set(required())
    assert set(programs_of(ClusterPool(routing, ()), [])) <= set(required())
    assert set(programs_of(ClusterPool(slicing, ()), [])) == {"controlplane", "kwok"}
    assert set(NODE) <= set(programs_of(ClusterPool(slicing, ()), GROUPS["slices"]))


def test_nothing_is_built_for_a_pool_that_this_machine_cannot_have() -> None:
    """Red if a machine without root compiles a kubelet that it can never run."""
    slicing = replace(pool("cluster-slices"), lacking=lambda: "no root")
    assert programs_of(ClusterPool(slicing, ()), GROUPS["slices"]) == []
