"""Programs that the user chooses: `--asset NAME=DIR` or `NAME@VERSION`, GPUASSAY_ASSET_<NAME>, envtest's variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.environment import inherited
from gpuassay.toolchain.catalogue import AT, COMPONENTS, Component, at_version, component, release
from gpuassay.toolchain.errors import ToolchainError

ENVTEST = {
    "etcd": "TEST_ASSET_ETCD",
    "kube-apiserver": "TEST_ASSET_KUBE_APISERVER",
    "kubectl": "TEST_ASSET_KUBECTL",
}
"""Programs that controller-runtime's envtest knows, and its variable for each (envtest documentation)."""


NEVER_BUILT = {
    "vllm": "python -m gpuassay.systems.llmd.component.get_vllm DIR, then --asset vllm=DIR",
    "das": "supplied by you: --asset das=DIR with das-{operator,scheduler,webhook,daemonset}, crds/ and a file VERSION",
}
"""What users can bring and we cannot build, since no Go module makes it; and how it is had."""


@dataclass(frozen=True)
class Assets:
    """Directories and versions that users name.

    Attributes:
        explicit: component name to directory, from `--asset`.
        environ: the environment, for GPUASSAY_ASSET_<NAME>, KUBEBUILDER_ASSETS and TEST_ASSET_*.
        versions: component name to the version that takes the place of the suite's own.
    """

    explicit: Mapping[str, Path] = field(default_factory=dict[str, Path])
    environ: Mapping[str, str] = field(default_factory=inherited)
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def parse(cls, options: Iterable[str], environ: Mapping[str, str] | None = None) -> Assets:
        """Read `NAME=DIR` and `NAME@VERSION` options.

        Raises:
            ToolchainError: an option has another form, an unknown name, the same name twice, no such directory, or a
                version that cannot be built.
        """
        explicit: dict[str, Path] = {}
        versions: dict[str, str] = {}
        for option in options:
            name, equals, directory = option.partition("=")
            if not equals and AT in option:
                name, _, version = option.partition(AT)
                if name in versions or name in explicit:
                    raise ToolchainError(f"--asset names {name} twice")
                at_version(name, version)
                versions[name] = version
                continue
            if not equals or not name or not directory:
                raise ToolchainError(f"--asset takes NAME=DIR or NAME@VERSION, not {option!r}")
            known = (*COMPONENTS, *NEVER_BUILT)
            if name not in known:
                raise ToolchainError(f"--asset {option}: no component is called {name!r}; there are {', '.join(known)}")
            if name in explicit or name in versions:
                raise ToolchainError(f"--asset names {name} twice")
            explicit[name] = _directory(directory, f"--asset {name}")
        return cls(explicit, inherited() if environ is None else environ, versions)

    @property
    def words(self) -> list[str]:
        """What `parse` was given, for a command of ours."""
        named = [f"{name}={directory}" for name, directory in self.explicit.items()]
        return [*named, *(f"{name}{AT}{version}" for name, version in self.versions.items())]

    def at(self, name: str, version: str) -> Assets:
        """The same, with another version of one component.

        Raises:
            ToolchainError: it cannot be built.
        """
        at_version(name, version)
        others = {one: directory for one, directory in self.explicit.items() if one != name}
        return Assets(others, self.environ, {**self.versions, name: version.removeprefix("v")})

    def upgrade(self, name: str, version: str) -> tuple[Assets, Assets]:
        """Where an upgrade of a component begins and ends: its chosen version and `version`, the older one first.

        Raises:
            ToolchainError: it cannot be built.
        """
        other = self.at(name, version)
        ends = sorted((self, other), key=lambda one: release(one.component(name).version))
        return ends[0], ends[1]

    def component(self, name: str) -> Component:
        """The component called `name`, at the version that the user has chosen.

        Raises:
            ToolchainError: there is none.
        """
        return at_version(name, self.versions[name]) if name in self.versions else component(name)

    def directory(self, component: str) -> Path | None:
        """The directory that the user names for the whole component, or None.

        Raises:
            ToolchainError: the variable names no directory.
        """
        if component in self.explicit:
            return self.explicit[component]
        variable = variable_of(component)
        value = self.environ.get(variable)
        return _directory(value, variable) if value else None

    def programs(self, component: Component) -> dict[str, tuple[Path, str]]:
        """Program name to (file, who named it), for those programs of `component` that the user brings.

        A directory named for the component has to hold all of them; envtest's variables cover only what envtest runs.

        Raises:
            ToolchainError: a file that should be there is missing or cannot be executed; the message names it.
        """
        whole = self.directory(component.name)
        if whole is not None:
            source = f"--asset {component.name}" if component.name in self.explicit else variable_of(component.name)
            return {name: (_file(whole / name, source), source) for name in component.packages}
        return self._envtest(component)

    def _envtest(self, component: Component) -> dict[str, tuple[Path, str]]:
        found: dict[str, tuple[Path, str]] = {}
        base = self.environ.get("KUBEBUILDER_ASSETS")
        for name, variable in ENVTEST.items():
            if name not in component.packages:
                continue
            if own := self.environ.get(variable):
                found[name] = (_file(Path(own).absolute(), variable), variable)
            elif base:
                directory = _directory(base, "KUBEBUILDER_ASSETS")
                found[name] = (_file(directory / name, "KUBEBUILDER_ASSETS"), "KUBEBUILDER_ASSETS")
        if base and "kube-apiserver" in component.packages:
            # setup-envtest brings neither of these; whoever put them there wants them to be of the same release.
            for name in ("kube-controller-manager", "kube-scheduler"):
                if (at := Path(base).absolute() / name).is_file():
                    found[name] = (_file(at, "KUBEBUILDER_ASSETS"), "KUBEBUILDER_ASSETS")
        return found


def variable_of(component: str) -> str:
    """Environment variable that names a directory for `component`, such as GPUASSAY_ASSET_KUEUE_PERF."""
    return f"GPUASSAY_ASSET_{component.upper().replace('-', '_')}"


def _directory(value: str, source: str) -> Path:
    path = Path(os.path.expanduser(value)).absolute()
    if not path.is_dir():
        raise ToolchainError(f"{source}: {path} is not a directory")
    return path


def _file(path: Path, source: str) -> Path:
    if not path.is_file():
        raise ToolchainError(f"{source}: {path} is missing")
    if not os.access(path, os.X_OK):
        raise ToolchainError(f"{source}: {path} cannot be executed")
    return path
