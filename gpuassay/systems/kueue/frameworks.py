"""Controllers of frameworks whose objects Kueue queues: JobSet's and LeaderWorkerSet's, by their charts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay import toolchain
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.toolchain import Assets, catalogue
from gpuassay.workloads import core


@dataclass(frozen=True)
class Framework:
    """A framework with a controller of its own.

    Attributes:
        name: of the component, of its program and of its chart.
        title: what people call it.
        version: of its API.
        kind: of its objects.
        plural: of their collection.
        namespace: where its controller goes.
        images: names of its image, `{}` for the version.
        probe: an object of it, created with dry-run only.
    """

    name: str
    title: str
    version: str
    kind: str
    plural: str
    namespace: str
    images: tuple[str, ...]
    probe: Callable[[], Manifest]

    @property
    def group(self) -> str:
        """API group."""
        return self.version.partition("/")[0]

    @property
    def capability(self) -> str:
        """Of a cluster on which its controller works."""
        return f"{self.name}-controller"

    def detect(self, objects: Objects) -> Installation | None:
        """By its API group; whose controller runs where is looked for among Deployments."""
        if (self.version, self.kind) not in objects.kinds:
            return None
        for one in objects.list(objects.kinds[("apps/v1", "Deployment")]):
            containers: list[Manifest] = dig(one, "spec", "template", "spec", "containers", default=[])
            for container in containers:
                repository, tag = image(container)
                if repository.rpartition("/")[2] == self.name:
                    return Installation(tag or "unknown", one["metadata"]["namespace"], how(one))
        return Installation("unknown", self.namespace, "definitions without a controller that we may see")

    def content(self, assets: Assets, wish: Wish) -> Content:
        """Upstream's chart of the version that Kueue is built with, unmodified, or what the user names."""
        if objects := objects_of(wish.source):
            return Content(objects=objects)
        module = None if wish.source else toolchain.module_dir(self.name, _module(self.name), assets)
        source = wish.source or str(module and module / "charts" / self.name)
        chart = Chart(source, self.name, self.namespace, {}, tuple(wish.values), wish.version)
        return Content(chart=chart, version="" if wish.source else catalogue.component(self.name).version)

    def problem(self, api: Api) -> str:
        """Why it does not work: its webhook has to take one of its objects."""
        try:
            path = f"/apis/{self.version}/namespaces/default/{self.plural}"
            api.request("post", path, self.probe(), query={"dryRun": "All"})
        except ApiRefused as refused:
            return refused.message
        except ClusterError as error:
            return str(error)
        return ""

    def in_use(self, objects: Objects) -> Sequence[Ref]:
        """Its objects, whoever made them."""
        kind = objects.kinds.get((self.version, self.kind))
        return [Ref.of(one) for one in objects.list(kind)] if kind else []

    def provided(self) -> Provided:
        """For `--NAME install`."""
        return Provided(
            name=self.name, title=self.title, namespace=self.namespace, detect=self.detect, content=self.content,
            problem=self.problem, in_use=self.in_use, group=self.group, capability=self.capability,
        )  # fmt: skip

    def image(self, assets: Assets) -> Iterator[Source]:
        """Its controller as an image, where its program is there."""
        if toolchain.available(self.name, assets) is None:
            programs = toolchain.programs(self.name, assets)
            names = tuple(name.format(programs.version) for name in self.images)
            yield Source(names, {"/manager": programs.path(self.name)}, ("/manager",), user=f"{NONROOT}:{NONROOT}")


def _module(name: str) -> str:
    return catalogue.component(name).module


def _probe(made: Callable[..., Manifest], **options: Any) -> Callable[[], Manifest]:
    return lambda: made("gpuassay-probe", "default", None, **options)


JOBSET = Framework(
    "jobset", "JobSet", "jobset.x-k8s.io/v1alpha2", "JobSet", "jobsets", "jobset-system",
    ("us-central1-docker.pkg.dev/k8s-staging-images/jobset/jobset:main", "registry.k8s.io/jobset/jobset:{}"),
    _probe(core.job_set, groups={"one": {}}),
)  # fmt: skip
LWS = Framework(
    "lws", "LeaderWorkerSet", "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkersets", "lws-system",
    ("registry.k8s.io/lws/lws:main", "registry.k8s.io/lws/lws:{}"),
    _probe(core.leader_worker_set),
)  # fmt: skip
ALL = (JOBSET, LWS)
