"""The environment: a cluster and a recorder watching, on which scenarios act."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakKeyDictionary

from gpuassay import pressure
from gpuassay.cluster import base
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.record import facts, rundir
from gpuassay.record.live import SHARED
from gpuassay.record.parts import AUDIT
from gpuassay.record.resources import RecorderError
from gpuassay.scenarios.lab import Lab
from gpuassay.system import get
from gpuassay.waiting import WaitTimeout

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.cluster.errors import ComponentDied
    from gpuassay.engine.operating import Operator
    from gpuassay.record.lines import LineIndex
    from gpuassay.record.live import LiveView
    from gpuassay.record.parts import Part
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.mutants import Mutant

WATCH = 0.3
"""Seconds between two looks at whether the environment still stands. It must be seen broken twice: a Kueue that lost
its port while starting is dead for an instant, and started again."""

LAG = 3.5
"""Seconds of quiet after which a counter that differs from a recount is wrong and not late."""

OWNERS = frozenset({"Deployment", "StatefulSet", "JobSet", "LeaderWorkerSet"})
"""Kinds that would make their pods again while those are cleared away."""

REST_SECONDS = 40.0
"""How long a scenario may take to come to rest: generous, because a crowded machine only slows down, while a controller
that fights itself never rests."""


class Host(Protocol):
    """The run on whose behalf an environment is opened."""

    @property
    def directory(self) -> Path:
        """The run directory."""
        ...

    @property
    def mutant(self) -> str | None:
        """Name of the mutant that breaks the system under test."""
        ...

    def say(self, text: str, /) -> None:
        """Tell the person at the terminal how far things are."""
        ...


@contextmanager
def described(
    run: Host, cluster: Cluster, provider: str, description: str, capabilities: Iterable[str]
) -> Generator[None]:
    """Say in `run.json` what an environment consists of; at the end of the `with` block again: scenarios add some.

    Where no scenario may use fake nodes, none are there, and KWOK stands in for nothing.
    """
    fake_nodes = base.FAKE_NODES in (offered := frozenset(capabilities))

    def describe() -> None:
        rundir.describe_cluster(
            run.directory,
            {"provider": provider, "kubernetes": cluster.api.version["gitVersion"], "description": description},
            components=[asdict(part) for part in cluster.components],
            emulated=[one for one in cluster.emulated if fake_nodes or one["by"] != "KWOK"],
            capabilities=offered,
        )

    describe()
    try:
        yield
    finally:
        describe()


L = TypeVar("L", bound=Lab)

Beside = Callable[[str, int, int], list[str]]
"""Which components were being built while a recording of that name was made between two times (ns)."""


def _nothing_beside(recording: str, start_ns: int, end_ns: int) -> list[str]:
    del recording, start_ns, end_ns
    return []


@dataclass
class Environment:
    """What the engine works with.

    Attributes:
        run_id: name of the run directory; the label of everything that scenarios create.
        cluster: on which they act.
        view: what the recorder has seen so far.
        capabilities: what scenarios may need of this environment.
        mutant: breaks the system under test.
        audit: the API server's audit log.
        logs: logs of the system under test, by the part of a recording that their lines go into.
        ours: the cluster is a child of this process, not somebody's.
        image: of pods' containers on somebody's cluster.
        unseen: by system, why what happens to it could not be seen there (`gpuassay.engine.sight`).
        operators: change systems on somebody's cluster, as far as they may.
        beside: what was being built meanwhile.
        collapsed: set when a component or the recorder died and everything under way was ended.
    """

    run_id: str
    cluster: Cluster
    view: LiveView
    capabilities: frozenset[str]
    mutant: Mutant | None
    audit: LineIndex | None = None
    logs: Mapping[Part, LineIndex] = field(default_factory=dict["Part", "LineIndex"])
    ours: bool = True
    image: str = ""
    unseen: Mapping[str, str] = field(default_factory=dict[str, str])
    operators: Sequence[Operator] = ()
    beside: Beside = _nothing_beside
    collapsed: threading.Event = field(default_factory=threading.Event)

    def lab(self, scenario: Scenario, token: str, *, full: bool, progress: Callable[[str], None]) -> Lab:
        """A lab for one scenario, of the kind that its system has."""
        return self.lab_of(get(scenario.system).lab(), token, full=full, progress=progress)

    def lab_of(self, kind: type[L], token: str, *, full: bool, progress: Callable[[str], None]) -> L:
        """A lab of a kind on this environment."""
        # on somebody's cluster with access of its own: what is denied to a scenario is told from what is to others
        cluster = self.cluster if self.ours else self.cluster.apart()
        made = kind(
            token=token, run_id=self.run_id, cluster=cluster, view=self.view,
            mutant=self.mutant, full=full, progress=progress,
            image="" if base.FAKE_NODES in self.capabilities else self.image,
        )  # fmt: skip
        for one in self.operators:
            one.equip(made)
        _under[made] = self
        return made

    def lacking(self, scenario: Scenario) -> frozenset[str]:
        """What the scenario needs and is not here."""
        return scenario.needs - self.capabilities

    def set_profile(self, profile: str) -> str | None:
        """Bring the system into a configuration profile; the reason why that cannot be, or None."""
        for one in self.operators:
            if reason := one.set_profile(profile):
                return reason
        if self.operators or profile == "default":
            return None
        return f"Kueue's configuration is not ours to change (profile {profile})"

    def prepare(self, lab: Lab) -> None:
        """Make the scenario's namespace and start collecting its events."""
        self.view.register(lab.token, [lab.namespace])
        namespace: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace}}
        lab.create(namespace)

        def has_account() -> bool:
            return lab.api.get("ServiceAccount", "default", lab.namespace) is not None

        lab.until(has_account, f"ServiceAccount default in {lab.namespace}")

    def positions(self) -> Mapping[Part, int]:
        """Where the audit log and the system's logs stand now."""
        audit = {AUDIT: self.audit.position()} if self.audit else {}
        return {**audit, **{part: log.position() for part, log in self.logs.items()}}

    def lines(self, token: str, start: Mapping[Part, int], *, everything: bool) -> dict[Part, list[Manifest]]:
        """The scenario's share of the audit log and of the system's logs since `start`; of these, or `everything`."""
        found = {AUDIT: self.audit.of(token, start[AUDIT])} if self.audit else {}
        return found | {part: log.of(token, start[part], everything=everything) for part, log in self.logs.items()}

    def settle(self, lab: Lab, quiet: float, settled: Callable[[Lab], bool]) -> None:
        """Wait until the scenario's objects have not changed for `quiet` seconds; note whether they came to rest.

        Kinds that belong to every scenario (`SHARED`) do not count: nodes of others come and go all the time. What the
        system counts may be late on a busy machine: it is given `LAG` seconds of quiet, and up to three times as many
        the more the machine is short of CPU time.
        """
        slowness = 1 + 2 * pressure.recent()
        quiet, lag = quiet * slowness, LAG * slowness

        def rests() -> bool:
            last = next((one.at for one in reversed(self.view.lines(lab.token)) if one.kind not in SHARED), None)
            passed = quiet if last is None else (time.time_ns() - last) / 1e9
            return passed >= quiet and (passed >= lag or settled(lab))

        try:
            lab.until(rests, "at rest", timeout=REST_SECONDS)
            at_rest = True
        except WaitTimeout:
            at_rest = False
        lab.note(facts.AT_REST, at_rest)

    def component_died(self) -> ComponentDied | None:
        """What died on its own, if anything did."""
        return self.cluster.component_died()

    def broken(self) -> str | None:
        """Why nothing can be acted out here any more (a component or the recorder died), or None."""
        if death := self.component_died():
            return str(death)
        try:
            self.view.check()
        except RecorderError as error:
            return str(error)
        return None

    def watch(self, *, until: threading.Event) -> None:
        """End everything under way as soon as a component or the recorder is dead: nothing more can come of it."""

        def look() -> None:
            before = None
            while not until.wait(WATCH):
                why = self.broken()
                if why is not None and why == before:
                    self.abort(why)
                    self.collapsed.set()
                    return
                before = why

        threading.Thread(target=look, name="gpuassay-watch", daemon=True).start()

    def await_collapse(self) -> None:
        """Give `watch` the time that it needs to see a death."""
        self.collapsed.wait(3 * WATCH)

    def clear(self, lab: Lab, swept: Iterable[tuple[str, str]] = ()) -> None:
        """Take a finished scenario's load off the cluster: owners of pods, Jobs, pods, and what the system adds.

        Workloads too: Kueue's scheduler never stops trying the blocked head of a StrictFIFO queue.
        """
        self.view.forget(lab.token)
        with suppress(ClusterError):  # a relief for the others; where it matters, the sweep has the last word
            for owner in [one for one in lab.asked if one["kind"] in OWNERS]:
                lab.delete(owner["kind"], owner["metadata"]["name"], namespace=owner["metadata"].get("namespace"))
            for namespace in lab.namespaces:
                for group, plural in (("apis/batch/v1", "jobs"), ("api/v1", "pods"), *swept):
                    path = f"/{group}/namespaces/{namespace}/{plural}"
                    lab.api.request("delete", path, query={"propagationPolicy": "Background"})

    def at_rest(self) -> None:
        """All scenarios are done."""

    def abort(self, why: str) -> None:
        """End every wait and every request under way: scenarios break off with `why`, the engine comes to its end."""
        self.view.abort(why)
        if self.ours:
            # a request to an API server that lost its etcd hangs for a minute; to one that is gone it fails at once
            self.cluster.supervisor.stop(*self.cluster.processes, grace=0)


_under: WeakKeyDictionary[Lab, Environment] = WeakKeyDictionary()


def environment_of(lab: Lab) -> Environment:
    """What a lab acts on. Raises KeyError for one that no environment has made."""
    return _under[lab]
