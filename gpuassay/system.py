"""What the core knows of a system under test, and which systems there are.

A system is a folder of `gpuassay.systems`, or of somebody's package, with a module that holds one `System`. Those of
this package are found by their folders, others by entry points of the group `gpuassay.systems`:

    [project.entry-points."gpuassay.systems"]
    mine = "my_package.system:SYSTEM"

Example:
    SYSTEM = System(name="mine", pools=(Pool("cluster-mine", open_mine, width=4),), needs=frozenset({"mine"}))
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from gpuassay.capabilities import Why, why
from gpuassay.record.bundled import Bundle
from gpuassay.record.parts import Part
from gpuassay.record.recording import Recording

if TYPE_CHECKING:  # cluster clients: not for replays
    from pathlib import Path

    import pytest

    from gpuassay.cluster.existing import Detector
    from gpuassay.cluster.images import Source
    from gpuassay.cluster.whole.cluster import Kit
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.operating import Operation, Operator
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.provision.component import Provided
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab
    from gpuassay.settings import Settings
    from gpuassay.toolchain import Assets

GROUP = "gpuassay.systems"
"""Entry-point group of systems, and the package that holds ours."""


OWN_ARMS = "own-arms"
"""Capability: gateways, pickers and model servers may be started, changed and killed. Somebody's gateway lacks it."""


class BadSystem(Exception):  # noqa: N818 - reads as what it is
    """A system cannot be used as it is declared; the message is one line."""

    exit_code = 2


Open = Callable[["Host", "ClusterPool", "Assets"], AbstractContextManager["Environment"]]
"""Opens what scenarios act on, on behalf of a run."""


@dataclass(frozen=True)
class Pool:
    """A cluster of ours that scenarios share.

    Attributes:
        name: its folder in the run directory; unique among all systems.
        open: starts cluster and system for the length of a `with` block.
        width: scenarios that are acted out at a time.
        after: pools that have to be done with what runs side by side before this one begins, on a small machine.
        programs: components without which it cannot be opened, in the order in which they are built.
        extra: components that only some of its scenarios need; used where they have been built, or are asked for.
        lacking: why this machine cannot have such a cluster, or None; asked before anything is built for it.
    """

    name: str
    open: Open
    width: int
    after: Sequence[str] = ()
    programs: Sequence[str] = ()
    extra: Sequence[str] = ()
    lacking: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Rule:
    """A permission on somebody's cluster: API group ("" for core), resources and verbs as words; for `--plan`.

    A resource that begins with a slash is a path of the server that is none (`nonResourceURLs`), such as `/metrics`.
    """

    group: str
    resources: str
    verbs: str


def _no_findings(recording: Any) -> list[str]:
    del recording
    return []


@dataclass(frozen=True)
class Invariants:
    """What holds on every recording of a system, whatever the scenario; findings are sentences.

    Attributes:
        untimed: no delay explains a finding.
        timed: a sound system shows it as well where it gets no CPU.
    """

    untimed: Callable[[Any], list[str]] = _no_findings
    timed: Callable[[Any], list[str]] = _no_findings


def _nothing_to_check(scenario: Scenario) -> None:
    del scenario


def _no_images(assets: Assets) -> Iterable[Source]:
    del assets
    return ()


def _settled(lab: Any) -> bool:
    del lab
    return True


@dataclass(frozen=True)
class PodLog:
    """Where a system on somebody's cluster says what it decides, as JSON lines.

    Attributes:
        part: of a recording that holds a scenario's lines.
        namespace: of its pods.
        selector: their labels.
    """

    part: Part
    namespace: str
    selector: str


@dataclass(frozen=True)
class System:
    """One system under test.

    Attributes:
        name: what `@scenario(system=...)` says.
        pools: its clusters.
        pool_of: which of them a scenario runs on.
        lab: what its scenarios act with; a function, since labs need cluster clients.
        recording: what its judges read; `PARTS` of it says which files a recording holds besides those of the core.
        needs: capabilities that each of its scenarios needs.
        needs_inside: likewise, of those that cannot be acted out from outside (`@scenario(outside=True)` can).
        offers: further capabilities that its environments may have, for scenarios that name them.
        why: for each of these capabilities, why a behaviour cannot be judged on a cluster that lacks it.
        remedies: what a user can do about a capability that a cluster lacks.
        recorded: runs that come with the package; a scenario that cannot be acted out here is judged from these.
        invariants: judged after every test on every recording that the test has read.
        settled: whether what it counts has caught up, once its objects have come to rest.
        swept: namespaced kinds, as (API group and version, plural), that would keep it busy once a scenario is over.
        check: raises an exception with an `exit_code` where a scenario asks for something that there is not.
        mutants: module or package whose modules register the ways to break it, "" where there is none.
        rules: permissions that its scenarios use on somebody's cluster.
        detect: gives what looks for it on somebody's cluster (a function, since that needs a cluster client).
        images: upstream's images of it that pods of a whole cluster of ours may pull, of programs that are there.
        gpu_kit: makes fake GPUs for a node of such a cluster, their files in a new folder: of which models, cut how.
        components: names of what can be provisioned of it on somebody's cluster; each is an option.
        provides: what these are.
        pod_logs: read on somebody's cluster, where that is allowed.
        operate: changes it on somebody's cluster for scenarios, and undoes that at the end of the `with` block.
        elsewhere: opens what takes the place of a whole cluster, such as somebody's gateway, where options name one.
        add_options: declares options of its own.
        take_options: checks them once, before anything is written; raises an exception with an `exit_code`.
        says: lines for the header of a run, of what its options named.
        plan: further lines of `--plan`, in place of the permissions on a cluster; None where options ask for none.
    """

    name: str
    pools: Sequence[Pool] = ()
    pool_of: Callable[[Scenario], str] = lambda scenario: scenario.system
    lab: Callable[[], type[Lab]] = lambda: _plain_lab()
    recording: type[Recording] = Recording
    needs: frozenset[str] = frozenset()
    needs_inside: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    why: Mapping[str, Why] = field(default_factory=dict[str, Why])
    remedies: Mapping[str, str] = field(default_factory=dict[str, str])
    recorded: Sequence[Bundle] = ()
    invariants: Invariants = field(default_factory=Invariants)
    settled: Callable[[Any], bool] = _settled
    swept: Sequence[tuple[str, str]] = ()
    check: Callable[[Scenario], None] = _nothing_to_check
    mutants: str = ""
    rules: Sequence[Rule] = ()
    detect: Callable[[], Detector] | None = None
    images: Callable[[Assets], Iterable[Source]] = _no_images
    gpu_kit: Callable[[Path, Sequence[str], Sequence[str]], Kit] | None = None
    components: Sequence[str] = ()
    provides: Callable[[], Sequence[Provided]] = tuple
    pod_logs: Sequence[PodLog] = ()
    operate: Callable[[Operation], AbstractContextManager[Operator]] | None = None
    elsewhere: Callable[[Settings], Open | None] | None = None
    add_options: Callable[[pytest.OptionGroup], None] | None = None
    take_options: Callable[[Settings], None] | None = None
    says: Callable[[], Sequence[str]] | None = None
    plan: Callable[[Settings, Sequence[Scenario]], list[str] | None] | None = None


def _plain_lab() -> type[Lab]:
    from gpuassay.scenarios.lab import Lab

    return Lab


@cache
def systems() -> Mapping[str, System]:
    """Every system by name: ours, then those of installed packages.

    Raises:
        BadSystem: two have one name, or two pools have.
    """
    found: dict[str, System] = {}
    for one in [*_ours(), *_installed()]:
        if one.name in found:
            raise BadSystem(f"two systems are called {one.name!r}: uninstall one of the packages that bring it")
        found[one.name] = one
    pools = [pool.name for one in found.values() for pool in one.pools]
    if doubled := sorted({name for name in pools if pools.count(name) > 1}):
        raise BadSystem(f"two systems have a cluster pool called {doubled[0]!r}")
    return found


def get(name: str) -> System:
    """The system called `name`.

    Raises:
        BadSystem: there is none; the message lists those there are.
    """
    try:
        return systems()[name]
    except KeyError:
        raise BadSystem(f"no system is called {name!r}; there are {', '.join(systems())}") from None


def why_lacking(capability: str) -> Why | None:
    """Why a behaviour cannot be judged on a cluster that lacks a capability; None where nobody has said it."""
    return why(capability, {name: one for system in systems().values() for name, one in system.why.items()})


def pool(name: str) -> Pool:
    """The pool called `name`; KeyError where there is none."""
    return {one.name: one for system in systems().values() for one in system.pools}[name]


def broken() -> Mapping[str, str]:
    """Entry points that cannot be loaded, with the reason in one line; the others go on."""
    systems()
    return dict(_broken)


_broken: dict[str, str] = {}


def _ours() -> list[System]:
    package = importlib.import_module(GROUP)
    names = sorted(one.name for one in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{GROUP}.{name}.system").SYSTEM for name in names]


def _installed() -> list[System]:
    found: list[System] = []
    for point in metadata.entry_points(group=GROUP):
        try:
            loaded = point.load()
        except Exception as error:
            _broken[point.name] = f"{point.value} cannot be imported: {type(error).__name__}: {error}"
            continue
        if isinstance(loaded, System):
            found.append(loaded)
        else:
            _broken[point.name] = f"{point.value} is no gpuassay.system.System"
    return found
