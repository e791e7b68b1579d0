"""Options that say what is provisioned on an existing cluster: one set for each component of each system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay.arguments import path, text
from gpuassay.settings import Settings
from gpuassay.system import systems

if TYPE_CHECKING:
    import pytest

    from gpuassay.provision.component import Wish

USE, INSTALL, REINSTALL, NEVER = "use", "install", "reinstall", "never"
MODES = (USE, INSTALL, REINSTALL, NEVER)


class ComponentOptionError(Exception):
    """Options contradict each other; the message is one line."""

    exit_code = 2


def names() -> list[str]:
    """Every component that can be provisioned."""
    return [name for one in systems().values() for name in one.components]


def add_options(group: pytest.OptionGroup) -> None:
    """Declare them."""
    for name in names():
        group.addoption(
            f"--{name}", choices=MODES, default=USE, dest=_dest(name, "mode"),
            help=f"existing cluster: {name} as it is there, installed for this run, ours installed anew, or left out",
        )  # fmt: skip
        group.addoption(
            f"--{name}-source", metavar="SOURCE", type=path, dest=_dest(name, "source"),
            help=f"folder of manifests or chart (folder, archive, URL, OCI reference) of {name}; default: upstream's",
        )  # fmt: skip
        group.addoption(
            f"--{name}-version", metavar="VERSION", type=text, dest=_dest(name, "version"),
            help=f"version of the chart of {name}",
        )  # fmt: skip
        group.addoption(
            f"--{name}-values", metavar="FILE", type=path, action="append", default=[], dest=_dest(name, "values"),
            help=f"values for the chart of {name}",
        )  # fmt: skip
    group.addoption("--mirror", metavar="PREFIX", type=text, help="takes the place of registries in image names")
    group.addoption(
        "--pull-secret", metavar="FILE", type=path,
        help="credentials for the registries of what is installed, a file such as ~/.docker/config.json",
    )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What is asked for of one component.

    Attributes:
        mode: one of `MODES`.
        source, version, values, mirror, pull_secret: as in `gpuassay.provision.component.Wish`.
    """

    name: str
    mode: str
    source: str
    version: str
    values: tuple[Path, ...]
    mirror: str
    pull_secret: Path | None = None

    @property
    def wish(self) -> Wish:
        """For an installation."""
        from gpuassay.provision.component import Wish

        return Wish(self.source, self.version, self.values, self.mirror, self.pull_secret)


def asked(settings: Settings) -> list[Asked]:
    """What is asked for, checked.

    Raises:
        ComponentOptionError: something is asked for of a component that is not installed, or of a cluster of ours.
    """
    found: list[Asked] = []
    for name in names():
        values = tuple(Path(one) for one in _value(settings, name, "values"))
        one = Asked(
            name, _value(settings, name, "mode"), _value(settings, name, "source") or "",
            _value(settings, name, "version") or "", values, settings.mirror or "",
            Path(secret) if (secret := settings.option("pull_secret")) else None,
        )  # fmt: skip
        _check(one, settings)
        found.append(one)
    return found


def _check(one: Asked, settings: Settings) -> None:
    installed = one.mode in (INSTALL, REINSTALL)
    extra = [what for what in ("source", "version", "values") if getattr(one, what)]
    if extra and not installed:
        raise ComponentOptionError(f"--{one.name}-{extra[0]} needs also --{one.name} {INSTALL}")
    if one.mode != USE and settings.cluster not in ("existing", "kind"):
        raise ComponentOptionError(f"--{one.name} {one.mode}: only with --cluster existing or --cluster kind")
    if missing := [str(file) for file in one.values if not file.is_file()]:
        raise ComponentOptionError(f"--{one.name}-values: there is no file {missing[0]}")


def _dest(name: str, what: str) -> str:
    return f"component_{name.replace('-', '_')}_{what}"


def _value(settings: Settings, name: str, what: str) -> Any:
    return settings.option(_dest(name, what))
