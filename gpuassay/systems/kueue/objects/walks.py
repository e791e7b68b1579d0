"""Random walks over Kueue's objects as data: a site of queues and cohorts, and steps that edit everything in it.

A walk comes from a seed or from a file; the same seed gives the same site and the same steps. What a drawn step finds
to act on (the third of those that hold quota) is decided when it is acted out: the walk as it was taken names it, so
that steps can be left out without moving the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gpuassay.manifest import Manifest


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step.

    Attributes:
        act: what is done, one of `steps.ACTS`.
        on: name of what it is done to, without the scenario's suffix; "" to choose by `pick`.
        pick: chooses among what there is to act on, by remainder.
        value: what the step sets.
        pause: the longest wait, in s, for an answer of the system before the next step.
    """

    act: str
    on: str = ""
    pick: int = 0
    value: Any = None
    pause: float = 0.0

    def text(self) -> str:
        """One line for people."""
        value = "" if self.value is None else f" {msgspec.json.encode(self.value).decode()}"
        return f"{self.act} {self.on or f'#{self.pick}'}{value}"


class Cohort(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cohort: its parent ("" for a root), and quota of its own by flavor."""

    parent: str = ""
    quota: dict[str, list[Manifest]] = {}


class Queue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ClusterQueue: quota by flavor, its cohort ("" for none), and further fields of `spec`."""

    quota: dict[str, list[Manifest]]
    cohort: str = ""
    spec: Manifest = {}


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a walk goes. Names are stems, the scenario makes them unique.

    Attributes:
        cohorts: parents before their children.
        queues: ClusterQueues; each has a LocalQueue of its name.
        flavors: options of each flavor.
        classes: values of priority classes.
    """

    cohorts: dict[str, Cohort]
    queues: dict[str, Queue]
    flavors: dict[str, Manifest]
    classes: dict[str, int]


class Walk(msgspec.Struct, frozen=True):
    """A site and the steps on it."""

    seed: int
    site: Site
    steps: list[Step]

    def of(self, steps: Sequence[Step]) -> Walk:
        """The same site with other steps."""
        return Walk(self.seed, self.site, list(steps))

    def save(self, path: Path) -> None:
        """Write it where `read` finds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read(path: Path) -> Walk:
    """A walk from a file.

    Raises:
        ValueError: it cannot be read, or holds no walk; one line that says why.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Walk)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} holds no walk: {error}") from None
