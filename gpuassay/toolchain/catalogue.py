"""The components that can be built: by name, by group, and at which versions; `entries` says what each is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuassay.toolchain.component import MODULES, Component
from gpuassay.toolchain.entries import ALTERED, OWN
from gpuassay.toolchain.errors import ToolchainError

AT = "@"
"""Stands between a component and one of its other versions."""


def _other_versions() -> dict[str, Component]:
    """Components at versions that the suite is run on beside its own: a folder `NAME@VERSION` of modules for each."""
    found: dict[str, Component] = {}
    for directory in sorted(MODULES.glob(f"*{AT}*")):
        base = OWN[directory.name.partition(AT)[0]]
        found[directory.name] = replace(
            base, name=directory.name, directory=directory, optional=True, follows="",
            altered=ALTERED.get(directory.name, base.altered),
        )  # fmt: skip
    return found


COMPONENTS: dict[str, Component] = {**OWN, **_other_versions()}
"""Every component by name, other versions too."""

NODE = ("containerd", "runc", "cni-plugins", "kubelet", "workload")
"""What a real node consists of."""

WHOLE = ("controlplane", "kwok", *NODE, "kube-proxy", "coredns")
"""What a whole cluster consists of (`gpuassay up --like-yours`)."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "slices": (*NODE, "nvidia-device-plugin", "nvidia-dra", "kubectl"),
    "upstream": (*NODE, "istio", "gaie-conformance"),
    "like-yours": (
        *WHOLE,
        "helm",
        "kueue",
        "kustomize",
        "jobset",
        "lws",
        "nvidia-device-plugin",
        "llmd-epp",
        "llmd-sim",
    ),
    "routing": ("gaie-epp", "lwepp", "pd-sidecar", "istio"),
    "all": tuple(OWN),
}
"""Components that one kind of behaviours needs, by a name for `gpuassay build`; `all` builds everything, at
the suite's own versions."""


def release(version: str) -> tuple[int, ...]:
    """A release such as v1.36.2 as numbers that can be compared; what follows a "-" or "+" does not count."""
    return tuple(int(part) for part in version.removeprefix("v").split("-")[0].split("+")[0].split("."))


def selected(names: Iterable[str]) -> list[str]:
    """Components by their names and those of groups, each once; the required ones if none is named.

    Raises:
        ToolchainError: a name is neither; the message lists those there are.
    """
    found = [one for name in names for one in GROUPS.get(name) or (component(name).name,)]
    return list(dict.fromkeys(found)) or required()


def versions(name: str) -> list[str]:
    """Versions of a component that can be built, its own first, without the leading `v`."""
    others = [one.partition(AT)[2] for one in COMPONENTS if one.startswith(f"{name}{AT}")]
    return [component(name).version.removeprefix("v"), *others]


def nearest(wanted: str, there: Iterable[str]) -> str | None:
    """The release of `there` that differs least from `wanted`: in its major version first, then minor, then patch.

    None where `wanted` is no release.
    """
    try:
        numbers = release(wanted)
        return min(there, key=lambda one: [abs(a - b) for a, b in zip(release(one), numbers, strict=False)])
    except ValueError:
        return None


def at_version(name: str, version: str) -> Component:
    """A component at one of its versions.

    Raises:
        ToolchainError: no such component, or not at this version; the message lists those there are.
    """
    own, wanted = component(name), version.removeprefix("v")
    if wanted == own.version.removeprefix("v"):
        return own
    try:
        return COMPONENTS[f"{name}{AT}{wanted}"]
    except KeyError:
        there = versions(name)
        near = nearest(wanted, there)
        meant = f"; nearest is {near}" if near else ""
        raise ToolchainError(
            f"{name} cannot be built at version {version}: there are {', '.join(there)}{meant}"
            f" (bring your own: --asset {name}=DIR)"
        ) from None


def component(name: str) -> Component:
    """The component called `name`.

    Raises:
        ToolchainError: there is none; the message lists those there are.
    """
    try:
        return COMPONENTS[name]
    except KeyError:
        there = ", ".join((*COMPONENTS, *(f"group {group}" for group in GROUPS)))
        raise ToolchainError(f"no component is called {name!r}; there are {there}") from None


def required() -> list[str]:
    """Names of the components that the suite cannot run without, in the order in which they are built."""
    return [name for name, entry in COMPONENTS.items() if not entry.optional]
