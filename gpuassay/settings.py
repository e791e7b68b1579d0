"""What the command line asks of a run, with types: read once from pytest's options, handed on to engine and systems."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

EXISTING = "existing"
"""`--cluster`: somebody's."""


@dataclass(frozen=True)
class Settings:
    """Options of the core by name, and those that systems declare by `option`.

    Attributes:
        cluster: what is tested against, `embedded` or `existing`.
        kubeconfig: of the existing cluster, as given; None: what the environment names.
        context: in it; None: its current one.
        image: with a shell, for jobs on an existing cluster.
        may_change: cluster-wide configuration of an existing cluster may be changed.
        mutant: breaks the system under test.
        full: long versions of measurements.
        replay: the stored run that is judged again.
        assets: `--asset`, as given.
        build: `--build`, as given.
        mirror: takes the place of registries in image names.
    """

    cluster: str = "embedded"
    kubeconfig: str | None = None
    context: str | None = None
    image: str = ""
    may_change: bool = False
    mutant: str | None = None
    full: bool = False
    replay: str | None = None
    assets: Sequence[str] = ()
    build: Sequence[str] = ()
    mirror: str | None = None
    _all: Namespace = field(default_factory=Namespace, repr=False)

    @classmethod
    def of(cls, option: Namespace) -> Settings:
        """From pytest's options, or a part of them: what is not there has its default."""

        def value(name: str, default: Any = None) -> Any:
            return getattr(option, name, default)

        return cls(
            value("cluster", "embedded"), value("gpuassay_kubeconfig"), value("gpuassay_context"),
            value("gpuassay_image", ""), bool(value("allow_cluster_mutation")), value("mutant"), bool(value("full")),
            value("replay"), tuple(value("asset", ())), tuple(value("build", ())), value("mirror"), option,
        )  # fmt: skip

    @property
    def existing(self) -> bool:
        """Whether the cluster is somebody's."""
        return self.cluster == EXISTING

    def option(self, name: str, default: Any = None) -> Any:
        """An option that a system declares, by the name that pytest gives its value."""
        return getattr(self._all, name, default)
