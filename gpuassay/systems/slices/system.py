"""GPU slices as a system under test: a real node, and what slices its GPUs. Root only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from gpuassay import resources
from gpuassay.capabilities import Why
from gpuassay.record.bundled import Bundle
from gpuassay.system import Invariants, Pool, Rule, System
from gpuassay.systems.slices import options, readings
from gpuassay.toolchain.catalogue import AT, COMPONENTS, NODE

if TYPE_CHECKING:  # cluster clients: not for `--help`
    from pathlib import Path

    from gpuassay.cluster.existing import Detector
    from gpuassay.cluster.images import Source
    from gpuassay.cluster.whole.cluster import Kit
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.provision.component import Provided
    from gpuassay.toolchain import Assets

POOL = "cluster-slices"
OWN_NODE = "own-node"
"""Capability: node, slicer and GPUs may be started, cut, broken and read from inside. Somebody's may not."""

RULES = (
    Rule("", "pods/log", "get"),
    Rule("", "resourcequotas", "create get list delete"),
    Rule("resource.k8s.io", "resourceslices resourceclaims", "list watch"),
    Rule("resource.k8s.io", "resourceclaimtemplates deviceclasses", "create get list patch delete"),
    Rule("apps", "daemonsets", "list patch (who makes slices, and its restart)"),
    Rule("", "configmaps", "create get list delete (for a restart of who makes slices)"),
)
"""Besides those of every scenario; nodes are only read."""

AFTER = ("cluster", "cluster-changing", "cluster-platform")
"""Real nodes beside two Kueues and endpoint pickers are too much for a small machine: Kueue's webhooks come too late,
and what is seen then is the machine's doing. In the order in which tests are collected, so that none waits too long."""


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.slices.environment import slices_environment

    return slices_environment(run, pool, assets)


def untimed(recording: Any) -> list[str]:
    """Invariants of slices."""
    from gpuassay.systems.slices.judge import invariants

    return invariants.untimed(recording)


def timed(recording: Any) -> list[str]:
    """Invariants of slices that hang on a clock."""
    from gpuassay.systems.slices.judge import invariants

    return invariants.timed(recording)


def lacking() -> str | None:
    """Why this machine can have no real node, or None."""
    from gpuassay.cluster.node import checks

    return checks.machine()


RECORDED = Bundle(resources.ROOT / "tests" / "data" / "recorded-das.tar.xz", "DAS", "das-daemonset")
"""Recordings of the real DAS, whose programs only users can bring."""


def _provides() -> Sequence[Provided]:
    from gpuassay.systems.slices.provision import PLUGIN
    from gpuassay.systems.slices.provision_das import DAS
    from gpuassay.systems.slices.provision_dra import DRA

    return (PLUGIN, DRA, DAS)


def _detect() -> Detector:
    from gpuassay.systems.slices.outside.detect import detect

    return detect


def _images(assets: Assets) -> Iterable[Source]:
    from gpuassay.systems.slices.component.images import images

    return images(assets)


def _gpu_kit(folder: Path, models: Sequence[str], mig: Sequence[str]) -> Kit:
    from gpuassay.systems.slices.component.gpu_kit import gpu_kit

    return gpu_kit(folder, models, mig)


SLICERS = ("nvidia-device-plugin", "nvidia-dra")
"""Components that slice GPUs and can be built."""


def _others() -> list[str]:
    """Their other versions, with which upgrades begin or end."""
    return [one for one in COMPONENTS if one.partition(AT)[0] in SLICERS and AT in one]


SYSTEM = System(
    name="slices",
    pools=(
        Pool(
            POOL,
            _open,
            width=6,
            after=AFTER,
            programs=("controlplane", "kwok", *NODE),
            extra=(*SLICERS, *_others(), "dra-example", "kubectl", "istio", "gaie-conformance"),
            lacking=lacking,
        ),
    ),
    pool_of=lambda _: POOL,
    recording=readings.SlicesRecording,
    needs=frozenset({"slices"}),
    needs_inside=frozenset({OWN_NODE}),
    why={"slices": Why.FAULTS, OWN_NODE: Why.FAULTS},
    invariants=Invariants(untimed, timed),
    recorded=(RECORDED,),
    rules=RULES,
    detect=_detect,
    images=_images,
    components=("device-plugin", "dra-driver", "das"),
    provides=_provides,
    gpu_kit=_gpu_kit,
    mutants="gpuassay.systems.slices.mutants",
    add_options=options.add_options,
    take_options=options.take,
)
