"""Several processes on one state, and processes that are killed in the middle of a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from gpuassay.silicon import ENVIRONMENT, Event, NvmlError, Silicon
from gpuassay.silicon.client import Nvml
from gpuassay.silicon.errors import DIE_AFTER, DIE_BEFORE
from tests.silicon.conftest import Bench


def _start(library: Path, state: Path, seed: int, calls: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.silicon.worker", str(library), str(seed), str(calls)]
    process = subprocess.Popen(command, env={**os.environ, ENVIRONMENT: str(state)}, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.read(1) == b"."
    return process


def _replayed(events: Iterable[Event]) -> tuple[set[int], set[int]]:
    """Serials of the GPU and compute instances that are there after `events`; each step must be possible."""
    instances, compute = set[int](), set[int]()
    for event in events:
        group = instances if event.kind.startswith("gpu") else compute
        if event.kind.endswith("-created"):
            assert event.serial not in group, event
            group.add(event.serial)
        elif event.kind.endswith("-destroyed"):
            group.remove(event.serial)
    return instances, compute


def _legal(silicon: Silicon) -> None:
    """The list of events is the state, and the state is legal."""
    slices = silicon.slices()
    slots = [(one.gpu, slot) for one in slices for slot in range(one.start, one.start + one.size)]
    assert len(slots) == len(set(slots)), "two slices overlap"
    instances, compute = _replayed(silicon.events())
    assert instances == {one.serial for one in slices}
    assert len(compute) == sum(len(one.uuids) for one in slices)


def test_processes_side_by_side_leave_a_legal_state_and_a_whole_list_of_events(
    fake_library: Path, tmp_path: Path
) -> None:
    """Red if calls of different processes are not serialised: slices overlap or events are lost."""
    silicon = Silicon.create(tmp_path / "state", ("a100-40gb",) * 2)
    workers = [_start(fake_library, silicon.path, seed, 300) for seed in range(4)]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    assert len({event.process for event in silicon.events()}) == 4
    _legal(silicon)


def test_a_process_that_is_killed_at_any_moment_leaves_a_legal_state(fake_library: Path, tmp_path: Path) -> None:
    """Red if a change is seen half: the state does not follow from the list of events, or slices overlap."""
    silicon = Silicon.create(tmp_path / "state", ("a100-40gb",) * 2)
    for round_ in range(12):
        before = len(silicon.events())
        worker = _start(fake_library, silicon.path, round_, 0)
        while len(silicon.events()) < before + 5 + 7 * round_:
            time.sleep(0.001)
        worker.kill()
        worker.communicate()
        # The next client tidies up, as any does at its first call.
        _start(fake_library, silicon.path, round_, 1).communicate()
        _legal(silicon)


@pytest.mark.parametrize(("code", "left"), [(DIE_BEFORE, 0), (DIE_AFTER, 1)])
def test_death_around_the_change_itself(fake_library: Path, bench: Bench, code: int, left: int) -> None:
    """Red if a create that was cut off before its change is there afterwards, or one cut off after it is not told."""
    silicon, nvml = bench.open()
    silicon.inject("nvmlDeviceCreateGpuInstanceWithPlacement", code)
    program = (
        "import sys; from pathlib import Path; from gpuassay.silicon.client import Nvml; "
        "n = Nvml(Path(sys.argv[1])); n.create_gpu_instance(n.gpu(0), 9, 4, 4)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(fake_library)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(silicon.slices()) == left
    nvml.gpu(0)
    _legal(silicon)
    assert len(silicon.events()) == left
    # The library works on, and the place is as free as the state says.
    try:
        nvml.create_gpu_instance(nvml.gpu(0), 9, 4, 4)
        created = True
    except NvmlError:
        created = False
    assert created is (left == 0)
    _legal(silicon)


def test_slices_outlive_the_programs_that_made_them(bench: Bench, fake_library: Path) -> None:
    """Red if a driver's restart loses its slices."""
    silicon, nvml = bench.open()
    instance = nvml.create_gpu_instance(nvml.gpu(0), 9, 0, 4)
    nvml.create_compute_instance(instance, 2)
    before = silicon.slices()
    nvml.close()
    again = Nvml(fake_library)
    assert Silicon(silicon.path).slices() == before
    assert again.uuid(again.mig_device(again.gpu(0), 0)) == before[0].uuids[0]
