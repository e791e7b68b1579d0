"""Program wheels: packed where programs are built, installed by pip, used where there is no Go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest

from gpuassay.toolchain import Programs, available, cache, catalogue, installed, module_dir, programs, wheels
from gpuassay.toolchain.catalogue import COMPONENTS, Component
from gpuassay.toolchain.golang import Go
from gpuassay.toolchain.resolve import cached
from tests.cluster.conftest import need_programs
from tests.toolchain import fake
from tests.toolchain.fake import FakeGo

ROOT = Path(__file__).parents[2]
FIRST_VERDICT = 120.0
"""Seconds within which a machine without Go has its first verdict, from the installation of the wheels on."""
KUEUE = ("kueue", "controlplane", "kustomize", "kwok")


def pip_install(wheel_dir: Path, target: Path, *names: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--find-links", str(wheel_dir), "--target", str(target), *map(wheels.project, names)]
    subprocess.run(command, check=True, timeout=300)


@dataclass
class Machine:
    """A machine with an empty cache, and what its checkout would build."""

    go: FakeGo
    toy: Component
    place: Path
    said: list[str]

    def pack(self) -> Path:
        """Build the toy and pack it."""
        programs("toy", say=self.said.append)
        entry = cached(self.toy, self.said.append)
        assert entry is not None
        modules = dict.fromkeys(self.toy.files, self.go.home / "src")
        out = self.place / "wheels"
        out.mkdir(exist_ok=True)
        return wheels.pack(self.toy, entry, modules, Go(self.go.home / "go", "go1.26.6"), out)

    def get(self) -> Programs:
        """The toy's programs, as a run gets them."""
        return programs("toy", say=self.said.append)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    go = fake.install(tmp_path / "gohome")
    monkeypatch.setenv("PATH", f"{go.home}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GPUASSAY_CACHE", str(tmp_path / "cache"))
    (go.home / "src" / "crds").mkdir()
    (go.home / "src" / "crds" / "one.yaml").write_text("kind: One\n")
    (go.home / "src" / "LICENSE").write_text("Apache-2.0\n")
    toy = replace(
        fake.component(tmp_path / "toy"),
        packages=dict.fromkeys(("alpha", "beta"), "example.test/toy/one"),
        files={"example.test/toy": ("crds/*.yaml",)},
    )
    monkeypatch.setitem(COMPONENTS, "toy", toy)
    installed._said.cache_clear()  # pyright: ignore[reportPrivateUsage]
    return Machine(go, toy, tmp_path, [])


def install(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pack, install, and forget all that was built and Go itself."""
    machine.pack()
    target = machine.place / "site"
    pip_install(machine.place / "wheels", target, "toy")
    monkeypatch.setattr(sys, "path", [str(target), *sys.path])
    monkeypatch.setenv("GPUASSAY_CACHE", str(machine.place / "empty"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    machine.go.forget_calls()
    machine.said.clear()
    return target


def test_installed_programs_are_used_without_go_and_say_where_they_come_from(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if a wheel is passed over, lacks a program or a manifest, or reports call it something else."""
    install(machine, monkeypatch)
    got = machine.get()
    version = metadata.distribution("gpuassay-program-toy").version
    assert got.source == f"program wheel gpuassay-program-toy {version}, built with go1.26.6"
    assert version == f"1.2.3+{cache.inputs(machine.toy, 'go1.26.6').key}"
    told = subprocess.run([got.path("beta")], capture_output=True, text=True, check=True).stdout
    assert told == "one v1.2.3\n"
    assert set(got.files) == {"alpha", "beta"}
    assert (module_dir("toy", "example.test/toy") / "crds" / "one.yaml").read_text() == "kind: One\n"
    assert available("toy") is None
    assert machine.go.calls == machine.said == []


def test_one_file_under_two_names_is_packed_once(machine: Machine) -> None:
    wheel = machine.pack()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("gpuassay_programs/toy/manifest.json"))
    assert [name for name in names if "/bin/" in name] == ["gpuassay_programs/toy/bin/one"]
    assert {fact["file"] for fact in manifest["programs"].values()} == {"one"}
    assert "gpuassay_programs/toy/LICENSE" in names
    assert wheel.name.startswith("gpuassay_program_toy-1.2.3+")
    assert wheel.name.endswith(f"-py3-none-manylinux_2_17_{os.uname().machine}.whl")


def test_equal_inputs_give_equal_bytes(machine: Machine) -> None:
    """Red if a wheel cannot be compared with one that somebody else has built."""
    assert machine.pack().read_bytes() == machine.pack().read_bytes()


def _other_inputs(machine: Machine, site: Path) -> None:
    del site
    (machine.toy.directory / "go.sum").write_text("other\n")


def _cut(machine: Machine, site: Path) -> None:
    del machine
    (site / "bin" / "one").write_text("short")


def _not_executable(machine: Machine, site: Path) -> None:
    del machine
    (site / "bin" / "one").chmod(0o644)


def _no_manifest(machine: Machine, site: Path) -> None:
    del machine
    (site / "manifest.json").write_text("{")


def _for_another_platform(machine: Machine, site: Path) -> None:
    del machine
    manifest = json.loads((site / "manifest.json").read_text())
    manifest["inputs"]["platform"] = "linux/sparc"
    (site / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_inputs, "it was built from other inputs than this checkout's v1.2.3"),
        (_cut, "its program alpha is missing or damaged"),
        (_not_executable, "its program alpha is missing or damaged"),
        (_no_manifest, "its manifest.json is missing or damaged"),
        (_for_another_platform, "it is for linux/sparc, this machine is linux/"),
    ],
)
def test_a_wheel_that_does_not_fit_is_one_line_and_not_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Machine, Path], None], message: str
) -> None:
    """Red if another program runs than the one that this checkout means, or the reason is a traceback."""
    target = install(machine, monkeypatch)
    spoil(machine, target / "gpuassay_programs" / "toy")
    monkeypatch.setenv("PATH", f"{machine.go.home}{os.pathsep}/usr/bin:/bin")
    for _ in range(2):
        assert not machine.get().source.startswith("program wheel")
    (told,) = [line for line in machine.said if "is not used" in line]
    assert told.startswith("the installed gpuassay-program-toy 1.2.3+")
    assert message in told


@pytest.mark.parametrize(
    ("upstream", "release"),
    [
        ("v0.19.2", "0.19.2"),
        ("v0.37.0-rc.0", "0.37.0rc0"),
        ("v0.0.0-20260827124520-eed52ebb66ad", "0.0.0"),
        ("v1.31.1-alpha.0.0.2", "1.31.1"),
    ],
)
def test_every_upstream_version_has_a_python_one(machine: Machine, upstream: str, release: str) -> None:
    """Red if pip refuses a wheel for its version."""
    from packaging.version import Version

    inputs = replace(cache.inputs(machine.toy, "go1.26.6"), version=upstream)
    told = Version(wheels.version_of(inputs))
    assert told.public == release
    assert str(told.local).endswith(inputs.key)


def test_wheels_of_all_components_can_be_named() -> None:
    for component in catalogue.COMPONENTS.values():
        assert wheels.version_of(cache.inputs(component, "go1.26.6"))
        assert wheels.tag(component).startswith("manylinux_2_")


@pytest.mark.timeout(900)
def test_a_machine_without_go_has_its_first_verdict_in_two_minutes(tmp_path: Path) -> None:
    """Red if installed programs are not enough for a live run, or the run builds or downloads something first."""
    need_programs(*KUEUE)
    pack = [sys.executable, "-m", "gpuassay", "wheels", str(tmp_path / "wheels"), *KUEUE]
    subprocess.run(pack, cwd=ROOT, check=True, timeout=600)
    home = tmp_path / "home"
    home.mkdir()
    began = time.monotonic()
    pip_install(tmp_path / "wheels", tmp_path / "site", *KUEUE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "XDG_", "GPUASSAY_"))}
    environment = kept | {
        "HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path / 'site'}", "GOPROXY": "off",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "suites/kueue/test_ordering.py", "-k", "heap_order", "-p"]
    command += ["no:cacheprovider", "--run-dir", str(tmp_path / "reports" / "runs")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-4000:]
    run = json.loads((tmp_path / "reports" / "latest" / "run.json").read_text())
    sources = {one["name"]: one["source"] for one in run["components"]}
    assert sources["kueue"].startswith("program wheel gpuassay-program-kueue ")
    assert sources["kube-apiserver"].startswith("program wheel gpuassay-program-controlplane ")
    assert run.get("builds", []) == []
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others share the machine: so much less is ours
    assert took < FIRST_VERDICT * busy, f"{took:.0f} s on a machine with {busy:.1f} times the work it has CPUs for"
