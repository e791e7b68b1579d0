"""What can be provisioned, declared by the systems; and what is found of it on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest
from gpuassay.provision.helm import Chart
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.olm import Package
from gpuassay.toolchain import Assets

READY_SECONDS = 300.0
"""How long a component may take until it works: Kueue alone may wait 100 s for a Secret to reach its pod."""


@dataclass(frozen=True)
class Installation:
    """A component as it is on a cluster.

    Attributes:
        version: such as `v0.19.2`, "unknown" where nothing says it.
        namespace: where its programs run.
        how: `manifests`, `Helm release NAME` or `OLM subscription NAME`.
        run: the run that has installed it; "" for somebody else's.
    """

    version: str
    namespace: str
    how: str
    run: str = ""

    def __str__(self) -> str:
        """For tables."""
        whose = f"ours (run {self.run})" if self.run else "somebody else's"
        return f"{whose}: {self.version} in {self.namespace}, {self.how}"


@dataclass(frozen=True)
class Wish:
    """What a user wants of a component.

    Attributes:
        source: a folder of manifests, a chart (folder, archive, URL, OCI reference); "" for upstream's of this version.
        version: of a chart from a repository.
        values: files of values for a chart.
        mirror: prefix that takes the place of the registries in image names.
        pull_secret: file with credentials for the images' registries, as docker writes it; None where there are none.
        beside: components that are there, or are installed in the same go.
        groups: API groups that the cluster serves.
    """

    source: str = ""
    version: str = ""
    values: Sequence[Path] = ()
    mirror: str = ""
    pull_secret: Path | None = None
    beside: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Content:
    """What is put onto the cluster: definitions, then objects, then a chart, each where there is any.

    Attributes:
        chart: installed by helm.
        package: installed by the cluster's Operator Lifecycle Manager; its objects are among `objects`.
        objects: applied by us, the first first.
        definitions: CustomResourceDefinitions that others bring too: one that is there already is used, and stays.
        version: of it; by default what its first image says.
        settings: what differs from upstream, in words, for reports.
    """

    chart: Chart | None = None
    package: Package | None = None
    objects: Sequence[Manifest] = ()
    definitions: Sequence[Manifest] = ()
    version: str = ""
    settings: str = ""


@dataclass(frozen=True)
class Renamed:
    """A kind that has moved to another API group.

    Attributes:
        plural: its name in paths.
        old: group of its definition before.
        new: group since.
        who: programs that heed the new group alone where both are defined.
        source: where that is written.
    """

    plural: str
    old: str
    new: str
    who: str
    source: str


def _nothing(objects: Objects) -> Sequence[Ref]:
    del objects
    return ()


@dataclass(frozen=True)
class Provided:
    """A component that can be provisioned.

    Attributes:
        name: what options and commands call it.
        title: what people call it.
        namespace: where it goes.
        detect: what there is of it, by looking at what it serves and runs.
        content: what an installation consists of.
        problem: why it does not work yet, "" once it does; asked until then.
        in_use: objects of its own kinds that somebody has made: it is not removed before them.
        made: objects that its programs make outside of its namespace and of its definitions, and leave behind.
        lacking: prerequisites that the cluster lacks, a line each.
        group: API group of its definitions, "" where it has none.
        after: components that bring what it may lack: where they are installed in the same go, it is looked at later.
        excludes: components that would offer the same devices a second time.
        seconds: how long it may take.
        capability: what scenarios need where they need it.
        further: other capabilities of a cluster on which a run has installed it.
        rights: what it takes to see that it works and to clear up after it, besides what its own objects take.
        renamed: its kinds that have moved to another API group, so that a cluster may have both definitions.
    """

    name: str
    title: str
    namespace: str
    detect: Callable[[Objects], Installation | None]
    content: Callable[[Assets, Wish], Content]
    problem: Callable[[Api], str]
    in_use: Callable[[Objects], Sequence[Ref]] = _nothing
    made: Callable[[Objects], Sequence[Ref]] = _nothing
    lacking: Callable[[Objects], Sequence[str]] = lambda _: ()
    group: str = ""
    after: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    seconds: float = READY_SECONDS
    capability: str = ""
    further: frozenset[str] = frozenset()
    rights: Sequence[Right] = ()
    renamed: Sequence[Renamed] = ()

    def runs(self, objects: Objects, there: Installation | None) -> bool:
        """Whether any pod of it is there, ready or not: then it is somebody's to mend."""
        places = {self.namespace, there.namespace if there else self.namespace}
        pods = objects.list(objects.kinds[("v1", "Pod")])
        return any(one["metadata"]["namespace"] in places for one in pods)
