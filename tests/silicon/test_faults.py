"""Faults on demand, and states that cannot be used."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuassay.silicon import ENVIRONMENT, FOREVER, NvmlError, Silicon, SiliconError, build, layout, seed
from gpuassay.silicon.client import Nvml
from tests.silicon.conftest import Bench

CREATE = "nvmlDeviceCreateGpuInstanceWithPlacement"


def _refused(nvml: Nvml, start: int = 0) -> int:
    try:
        nvml.create_gpu_instance(nvml.gpu(0), 19, start, 1)
    except NvmlError as error:
        return error.code
    return 0


def test_a_create_fails_as_often_as_ordered_and_after_as_many_as_ordered(bench: Bench) -> None:
    """Red if a fault hits too early, too often or never, or leaves no event."""
    silicon, nvml = bench.open()
    silicon.inject(CREATE, 23, skip=1, times=2)
    assert [_refused(nvml, start) for start in range(5)] == [0, 23, 23, 0, 0]
    assert [event.name for event in silicon.events() if event.kind == "refused"] == [CREATE, CREATE]
    assert len(silicon.slices()) == 3
    assert silicon.hits(CREATE) == 3


def test_a_fault_of_one_gpu_spares_the_others_until_it_is_healed(bench: Bench) -> None:
    """Red if a fault cannot be kept to one GPU, or does not go away."""
    silicon, nvml = bench.open(("a100-40gb", "a30-24gb"))
    silicon.inject(CREATE, 999, gpu=0, times=FOREVER)
    nvml.create_gpu_instance(nvml.gpu(1), 14, 0, 1)
    assert _refused(nvml) == 999
    silicon.heal()
    assert _refused(nvml) == 0


def test_a_slow_call_delays_its_caller_alone(bench: Bench) -> None:
    """Red if it is not slow, or holds the lock meanwhile so that everybody waits."""
    silicon, nvml = bench.open()
    silicon.inject(CREATE, delay=0.4)
    program = (
        "import sys; from pathlib import Path; from tests.silicon.test_faults import slow; slow(Path(sys.argv[1]))"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(bench.library)])
    while not silicon.hits(CREATE):
        time.sleep(0.005)
    begin = time.monotonic()
    nvml.gpu(0)
    assert time.monotonic() - begin < 0.3
    assert not silicon.slices()
    assert child.wait(10) == 0
    assert len(silicon.slices()) == 1


def slow(library: Path) -> None:
    """The slow caller of the test above."""
    nvml = Nvml(library)
    begin = time.monotonic()
    nvml.create_gpu_instance(nvml.gpu(0), 19, 0, 1)
    assert time.monotonic() - begin >= 0.4


def test_a_slice_in_use_cannot_be_destroyed(bench: Bench) -> None:
    """Red if a slice goes away under a process that uses it."""
    silicon, nvml = bench.open()
    instance = nvml.create_gpu_instance(nvml.gpu(0), 19, 0, 1)
    compute = nvml.create_compute_instance(instance, 0)
    [one] = silicon.slices()
    silicon.occupy(one)
    with pytest.raises(NvmlError, match="in use"):
        nvml.destroy_compute_instance(compute)
    silicon.occupy(one, busy=False)
    nvml.destroy_compute_instance(compute)
    nvml.destroy_gpu_instance(instance)
    with pytest.raises(SiliconError, match="is gone"):
        silicon.occupy(one)


def test_a_lost_gpu_answers_nothing_else_and_the_others_go_on(bench: Bench) -> None:
    """Red if a lost GPU still answers, or takes the others with it."""
    silicon, nvml = bench.open(("a100-40gb", "a100-40gb"))
    first = nvml.gpu(0)
    silicon.lose(0)
    for call in (lambda: nvml.gpu(0), lambda: nvml.uuid(first)):
        with pytest.raises(NvmlError, match="lost"):
            call()
    assert nvml.uuid(nvml.gpu(1)) == silicon.gpus[1]
    silicon.heal()
    assert nvml.uuid(first) == silicon.gpus[0]


class _EventData(ctypes.Structure):
    _fields_ = [
        ("device", ctypes.c_void_p),
        ("type", ctypes.c_ulonglong),
        ("data", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


def test_every_xid_reaches_who_registered_for_its_gpu(bench: Bench) -> None:
    """Red if one of two Xids is lost, or one of another GPU is delivered."""
    silicon, nvml = bench.open(("a100-40gb", "a100-40gb"))
    nvml.create_compute_instance(nvml.create_gpu_instance(nvml.gpu(1), 9, 4, 4), 2)
    events, data = ctypes.c_void_p(), _EventData()
    nvml.call("nvmlEventSetCreate", ctypes.byref(events))
    nvml.call("nvmlDeviceRegisterEvents", nvml.gpu(1), ctypes.c_ulonglong(8), events)
    silicon.xid(0, 13)
    silicon.xid(1, 48, silicon.slices()[0])
    silicon.xid(1, 79)
    got: list[tuple[int, int]] = []
    for _ in range(2):
        nvml.call("nvmlEventSetWait_v2", events, ctypes.byref(data), ctypes.c_uint(1000))
        got.append((data.data, data.gpu_instance))
    assert got == [(48, 1), (79, layout.NOTHING)]
    with pytest.raises(NvmlError, match="timeout"):
        nvml.call("nvmlEventSetWait_v2", events, ctypes.byref(data), ctypes.c_uint(30))


def test_a_reboot_takes_all_slices_and_is_told(bench: Bench) -> None:
    """Red if a slice survives a reboot, or clients cannot go on after it."""
    silicon, nvml = bench.open()
    seed(silicon, {0: ["3g.20gb", ("1g.5gb", 4)]}, bench.library)
    silicon.reboot()
    assert silicon.slices() == []
    assert silicon.events()[-1].name == "reboot"
    assert _refused(nvml) == 0


def test_a_geometry_that_does_not_fit_is_named(bench: Bench) -> None:
    """Red if seeding goes around the library's rules, or says nothing."""
    silicon, _ = bench.open()
    with pytest.raises(SiliconError, match=r"on GPU 0 at 4: .*insufficient resources"):
        seed(silicon, {0: ["7g.40gb", ("3g.20gb", 4)]}, bench.library)
    with pytest.raises(ValueError, match=r"has no MIG profile '1g\.6gb'; it has 1g\.5gb"):
        seed(silicon, {0: ["1g.6gb"]}, bench.library)
    with pytest.raises(SiliconError, match="no GPU 3"):
        seed(silicon, {3: ["1g.5gb"]}, bench.library)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "short": lambda raw: raw[:1000],
    "another file": lambda raw: b"\x7fELF" + raw[4:],
    "another version": lambda raw: raw[:16] + b"\x63\0\0\0" + raw[20:],
    "altered tables": lambda raw: raw.replace(b"1g.5gb", b"1g.6gb", 1),
    "too many GPUs": lambda raw: raw[:24] + b"\xff\xff\0\0" + raw[28:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_refused_in_one_line_by_the_library_and_by_python(
    bench: Bench, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Red if a damaged file crashes a program, is used, or is refused without a word."""
    silicon, _ = bench.open()
    bench.close()
    bench.state.write_bytes(DAMAGE[damage](silicon.path.read_bytes()))
    program = "import sys; from pathlib import Path; from gpuassay.silicon.client import Nvml; Nvml(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(bench.library)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nvmlInit_v2: driver not loaded (9)" in done.stderr
    assert sum(line.startswith("gpuassay's fake NVML: ") for line in done.stderr.splitlines()) == 1
    with pytest.raises(SiliconError, match="make a new one"):
        Silicon(bench.state)


def test_a_state_that_shrinks_or_breaks_under_a_client_ends_no_client(bench: Bench) -> None:
    """Red if a client dies, or works on, when its state is damaged while it runs."""
    silicon, nvml = bench.open()
    raw = silicon.path.read_bytes()
    with silicon.path.open("r+b") as file:
        file.write(b"x" * 16)
    with pytest.raises(NvmlError, match="unknown error"):
        nvml.gpu(0)
    with silicon.path.open("r+b") as file:
        file.write(raw)
    assert nvml.uuid(nvml.gpu(0)) == silicon.gpus[0]


def test_a_missing_state_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if a forgotten variable or file gives anything but a refusal."""
    with pytest.raises(SiliconError, match="cannot be opened: No such file"):
        Silicon(bench.state)
    with pytest.raises(NvmlError, match="driver not loaded"):
        Nvml(bench.library)
    monkeypatch.delenv(ENVIRONMENT)
    with pytest.raises(NvmlError, match="driver not loaded"):
        Nvml(bench.library)


def test_too_many_or_unknown_gpus_are_refused(tmp_path: Path) -> None:
    """Red if an impossible machine is made."""
    with pytest.raises(SiliconError, match="17 fake GPUs of 1 models: 1 to 16"):
        Silicon.create(tmp_path / "state", ("a100-40gb",) * 17)
    with pytest.raises(ValueError, match="no GPU model is called 'a100'; there are a100-40gb"):
        Silicon.create(tmp_path / "state", ("a100",))
    with pytest.raises(SiliconError, match="cannot be written"):
        Silicon.create(tmp_path / "nowhere" / "state")


def test_python_and_c_lay_the_state_out_alike(fake_library: Path) -> None:
    """Red if a structure is changed on one side only."""
    library = ctypes.CDLL(str(fake_library))
    assert tuple(library.gpuassay_layout(which) for which in range(len(layout.SIZES))) == layout.SIZES


def test_every_name_of_nvml_is_there(fake_library: Path) -> None:
    """Red if a client could meet a missing function, which would end it, or a stub answers success."""
    library = ctypes.CDLL(str(fake_library))
    names = build.FUNCTIONS.read_text().split()
    assert len(names) > 400
    assert [name for name in names if not hasattr(library, name)] == []
    missing = sorted(set(names) - build.implemented())
    assert {library[name]() for name in missing} == {3}


def test_without_a_compiler_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red if the lack of a compiler is a traceback, or a cached library is not used without one."""
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        build.available() == "the fake GPU library is built with a C compiler and there is no cc: install gcc or clang"
    )
    with pytest.raises(build.UnobtainableError, match="install gcc or clang"):
        build.library()
