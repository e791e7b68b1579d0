"""Gets programs: what the user brings, else an installed wheel, else the cache, else a build."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gpuassay.toolchain import build, buildinfo, cache, golang, installed
from gpuassay.toolchain.assets import Assets
from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError
from gpuassay.toolchain.progress import Say, build_seconds, duration, say_on_stderr, silent

BROUGHT, CACHED, BUILT = "assets directory", "cache", "built from Go modules"


@dataclass(frozen=True)
class Programs:
    """Where the programs of a component lie and what they are.

    Attributes:
        component: its name.
        version: version of the component, such as `v1.36.3`; `unknown` where a brought program does not tell.
        source: `assets directory`, `program wheel ...`, `cache` or `built from Go modules`; two where envtest's
            variables give a part.
        files: program name to file.
        altered: how those that we built differ from what upstream publishes, in words; "" where they do not.
    """

    component: str
    version: str
    source: str
    files: Mapping[str, Path]
    altered: str = ""
    known: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def path(self, name: str) -> Path:
        """The file of program `name`.

        Raises:
            ToolchainError: the component has no such program.
        """
        try:
            return self.files[name]
        except KeyError:
            raise ToolchainError(f"{self.component} has no program {name!r}; it has {', '.join(self.files)}") from None

    @cached_property
    def sha256(self) -> dict[str, str]:
        """Program name to SHA-256 in hex: from the checked cache entry, computed for brought files."""
        return {name: self.known.get(name) or cache.file_sha256(at) for name, at in self.files.items()}


def programs(component: str, assets: Assets | None = None, say: Say = say_on_stderr) -> Programs:
    """The programs of `component`: from the user's directories, a wheel, the cache, else built now (minutes).

    Raises:
        UnobtainableError: it must be built, and Go or the module registry is missing.
        ToolchainError: unknown component, an incomplete directory, or a failed build.
    """
    assets = assets or Assets()
    wanted = assets.component(component)
    brought = assets.programs(wanted)
    if set(brought) == set(wanted.packages):
        return _from_user(wanted, brought)
    wheel = installed.find(wanted, say)
    entry, source = (wheel.entry, f"program wheel {wheel.told}") if wheel else (cached(wanted, say), CACHED)
    if entry is None:
        entry, source = _build(wanted, say)
    files = {name: entry.directory / name for name in entry.programs}
    if not brought:
        return Programs(component, entry.inputs.version, source, files, wanted.altered, entry.programs)
    version = _told_version(wanted, brought)
    _refuse_skew(version, wanted.version, set(wanted.packages) - set(brought))
    files |= {name: at for name, (at, _) in brought.items()}
    known = {name: digest for name, digest in entry.programs.items() if name not in brought}
    source = f"{BROUGHT} ({', '.join(sorted(brought))}), {source}"
    return Programs(component, version, source, files, wanted.altered, known)


def available(component: str, assets: Assets | None = None) -> str | None:
    """None if `programs(component)` needs no build, else one line that says what it would take.

    Raises:
        ToolchainError: unknown component, or an incomplete directory.
    """
    assets = assets or Assets()
    wanted = assets.component(component)
    brought = assets.programs(wanted)
    if set(brought) == set(wanted.packages) or present(wanted, silent):
        return None
    about = duration(build_seconds(wanted.cpu_seconds))
    if golang.present():
        return f"{component} is not built yet: `gpuassay build {component}` takes at most about {about}"
    clause = golang.on_path()[1]
    return f"{component} is not built yet and there is {clause}: `gpuassay build {component}` asks PyPI for Go first"


def module_dir(component: str, module: str, assets: Assets | None = None, say: Say = say_on_stderr) -> Path:
    """Directory of the files of Go module `module` at the version that `component` requires (manifests, CRDs).

    A directory that the user brings may hold them beneath `modules/<module>`. A warm run calls no Go.

    Raises:
        UnobtainableError: Go or the module registry is missing.
        ToolchainError: unknown component, or it does not use the module.
    """
    assets = assets or Assets()
    wanted = assets.component(component)
    directory = assets.directory(wanted.name)
    if directory is not None and (directory / "modules" / module).is_dir():
        return directory / "modules" / module
    entry = present(wanted, say)
    if entry and module in entry.modules and Path(entry.modules[module]).is_dir():
        return Path(entry.modules[module])
    return build.module_dir(wanted, module, golang.find(say), say)


def present(component: Component, say: Say) -> cache.Entry | None:
    """Programs that need no build: those of an installed wheel, else of the cache; None where there are none."""
    wheel = installed.find(component, say)
    return wheel.entry if wheel else cached(component, say)


def cached(component: Component, say: Say, full: bool = False) -> cache.Entry | None:
    """The sound cache entry of `component`, or None; a damaged one is thrown away with one line."""
    go = golang.present()
    for directory in cache.candidates(component, go.version if go else None):
        try:
            return cache.load(directory, full)
        except ToolchainError as error:
            with cache.locked(f"{component.name}-{directory.name}", say):
                # Another process may have replaced it while this one waited.
                try:
                    return cache.load(directory, full)
                except ToolchainError:
                    say(f"the cached {component.name} is damaged ({error}): thrown away, it will be built again")
                    cache.discard(directory)
    return None


def _build(component: Component, say: Say) -> tuple[cache.Entry, str]:
    go = golang.find(say)
    with cache.locked(f"{component.name}-{cache.inputs(component, go.version).key}", say):
        for directory in cache.candidates(component, go.version):
            # Built by whoever held the lock; damaged within this moment is not worth a second try.
            return cache.load(directory), CACHED
        return build.make(component, go, say), BUILT


def _from_user(component: Component, brought: Mapping[str, tuple[Path, str]]) -> Programs:
    files = {name: at for name, (at, _) in brought.items()}
    return Programs(component.name, _told_version(component, brought), BROUGHT, files)


def _told_version(component: Component, brought: Mapping[str, tuple[Path, str]]) -> str:
    teller = {"controlplane": "kube-apiserver", "kwok": "kwok"}.get(component.name, "")
    if teller not in brought:
        return next((told for at, _ in brought.values() if (told := buildinfo.version_of(at))), "unknown")
    try:
        done = subprocess.run(
            [brought[teller][0], "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{brought[teller][1]}: {brought[teller][0]} cannot be run: {error}") from None
    found = re.search(r"v\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else "unknown"


def _refuse_skew(brought: str, ours: str, rest: set[str]) -> None:
    # Kubernetes' version skew policy: controller-manager and scheduler must not be newer than the API server.
    if "unknown" in brought or not rest & {"kube-controller-manager", "kube-scheduler"}:
        return
    if brought.split(".")[:2] != ours.split(".")[:2]:
        raise ToolchainError(
            f"KUBEBUILDER_ASSETS brings Kubernetes {brought}, but {' and '.join(sorted(rest))} would be {ours}: "
            "unset it, or name a directory with all programs by --asset controlplane=DIR"
        )
