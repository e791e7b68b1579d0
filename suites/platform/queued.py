"""Jobs that Kueue gives quota first and a slicer a slice then: what scenarios of Kueue in front of slices do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from gpuassay import Manifest, dig, labels
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.component.profiles import GPC, GPU_MEMORY, MIG_CREDITS
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.notes import QUOTAS
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.node import SlicedNode, SlicerName
from gpuassay.systems.slices.acts.pods import SLICERS
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.judge.told import without_places
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.model.predict import BALANCED
from gpuassay.systems.slices.model.slices import Dynamic, SliceJob, Static, Stock
from gpuassay.systems.slices.notes import WANTED_THERE
from gpuassay.workloads import containers
from suites.kueue.sharing import credit_queue
from suites.slices.performance import jobs
from suites.slices.slicers import SLICERS as PROGRAMS
from suites.variants import Deviation, per_variant

CREDITS: dict[str, dict[str, int]] = {
    profile: {GPC: slices, GPU_MEMORY: memory} for profile, (slices, memory) in MIG_CREDITS.items()
}
"""What Kueue's profile `transformations` charges for a slice of an A100 with 40 GB."""

AMPLE = 1000
"""Quota that never binds."""

SECONDS = 20.0
"""Within which a slice that is free is given to somebody: ten times what a crowded machine took."""

UNTIL_ASKED = (("serve", 8080), ("wait",))
"""Steps of a container that goes on until it is asked to end."""


def credits(gpus: int) -> dict[str, int]:
    """Quota of all credits of `gpus` A100 with 40 GB, and ample quota of devices by their own names.

    Kueue charges a slice that requests name by its own name as well, once a DeviceClass serves it
    (kubernetes-sigs/kueue#14160); the credits are to bind.
    """
    return {GPC: 7 * gpus, GPU_MEMORY: 40 * gpus} | {f"{jobs.RESOURCE}{profile}": AMPLE for profile in CREDITS}


def expected(recording: PlatformRecording) -> tuple[list[str], list[str]]:
    """Jobs that fit into the credits if none ends, and those of them that the slicer then has a place for."""
    admitted = kueue_slices.affordable(judged.jobs(recording), CREDITS, recording.note(QUOTAS))
    gpus = judged.models(recording)
    if without_places(recording):
        stock = Stock(recording.note(WANTED_THERE))
        return [one.name for one in admitted], [one.name for one in kueue_slices.placeable(admitted, stock)]
    cut = [Place(gpu, start, profile) for gpu in range(len(gpus)) for profile, start in BALANCED]
    slicer = Static(gpus, cut) if slices_rest.static(recording) else Dynamic(gpus)
    placed = kueue_slices.placeable(admitted, slicer)
    return [one.name for one in admitted], [one.name for one in placed]


class QueuedSite:
    """A sliced node of a scenario and queues in front of it.

    Attributes:
        site: the sliced node.
        lab: the scenario's lab.
    """

    def __init__(self, site: SlicedNode, lab: KueueLab) -> None:
        """Used by `opened`."""
        self.site, self.lab = site, lab
        jobs.note(site, ())

    @property
    def at_home(self) -> bool:
        """Whether the node is ours."""
        return self.lab.cluster.provider != "existing"

    def queue(self, base: str, quotas: Mapping[str, int], **options: Any) -> Queue:
        """A queue with these quotas, which judges are told; `options` are those of `Lab.cluster_queue`."""
        self.lab.note(QUOTAS, dict(quotas))
        return credit_queue(self.lab, base, quotas, **options)

    def job(
        self, name: str, profile: str, queue: Queue, *, priority: str | None = None, ends_after: int | None = None
    ) -> str:
        """Create a Job that asks for a slice and goes on until it is asked to end; returns its name.

        With `ends_after` its pod goes on for that many seconds after it was deleted.
        """
        asked = SliceJob(name, profile, 0.0, 0.0)
        deaf = () if ends_after is None else (("deaf",),)
        made = jobs.manifest(self.site, asked, *deaf, *UNTIL_ASKED, whole=False)
        if ends_after is not None:
            made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = ends_after
        return self._create(asked, made, queue, priority)

    def claiming_job(self, name: str, profile: str, queue: Queue, template: str) -> str:
        """Create a Job that asks for slices of `profile` by a ResourceClaimTemplate; returns its name."""
        asked = SliceJob(name, profile, 0.0, 0.0)
        made = jobs.manifest(self.site, asked, *UNTIL_ASKED, whole=False)
        spec = made["spec"]["template"]["spec"]
        spec["resourceClaims"] = [{"name": "slices", "resourceClaimTemplateName": template}]
        spec["containers"][0]["resources"] = {"claims": [{"name": "slices"}]}
        return self._create(asked, made, queue, None)

    def _create(self, asked: SliceJob, made: Manifest, queue: Queue, priority: str | None) -> str:
        made["metadata"]["labels"] = {labels.QUEUE_NAME: queue.local}
        if priority is not None:
            made["metadata"]["labels"][labels.PRIORITY_CLASS] = priority
        self.lab.note_next(notes.JOBS, asked)
        self.lab.create(made)
        return asked.name

    def bare_pod(self, name: str, profile: str, queue: Queue) -> str:
        """Create a pod without a Job that asks for a slice; returns its name."""
        container = self.site.container("main", profile)
        made = containers.pod(
            name, self.lab.namespace, node=self.site.node.name, containers=[container], spec=self.site.placed()
        )
        made["metadata"]["labels"] = {labels.QUEUE_NAME: queue.local}
        self.lab.create(made)
        return name

    def observe_bare(self, name: str) -> None:
        """Note whether a pod without a Job comes to run, and what it says that it was given."""
        self.site.observe_running(name)
        self.site.identify(name)

    def pods(self, *names: str) -> list[str]:
        """Names of the pods that the Jobs have now."""
        there = jobs.pods(self.site)
        return [there[name]["metadata"]["name"] for name in names if name in there]

    def observe_running(self, *names: str) -> bool:
        """Note whether the Jobs' pods come to run; what they say that they were given is noted too."""
        seen = self.lab.observe(
            lambda: len(self.pods(*names)) == len(names) and self.site.runs(*self.pods(*names)),
            f"running: {', '.join(names)}",
        )
        self.site.identify(*self.pods(*names))
        return seen

    def observe_refused(self, *names: str) -> bool:
        """Note whether the scheduler says that there is no room for the Jobs' pods."""
        self.lab.observe(lambda: len(self.pods(*names)) == len(names), f"pods of {', '.join(names)}")
        return self.site.observe_refused(*self.pods(*names))

    def observe_decided(self, *names: str) -> bool:
        """Note whether Kueue gives the Jobs quota or refuses it."""
        return self.lab.observe(lambda: self.lab.decided(*names), f"decided: {', '.join(names)}")

    def observe_waiting(self, queue: Queue, count: int) -> bool:
        """Note whether the ClusterQueue comes to count `count` Workloads without quota."""

        def counted() -> bool:
            return dig(self.lab.get("ClusterQueue", queue.name), "status", "pendingWorkloads", default=0) == count

        return self.lab.observe(counted, f"{count} wait for quota")

    def end(self, *names: str) -> bool:
        """Ask the Jobs' containers to end well; notes whether the Jobs' Workloads come to be finished."""
        for pod in self.pods(*names):
            if not self.lab.observe(lambda pod=pod: self.site.answers(pod), f"{pod} answers"):
                return False
            self.site.ask(pod, "/exit?code=0")
        return self.lab.observe(lambda: self.lab.has("Finished", *names), f"finished: {', '.join(names)}")

    def end_all(self) -> None:
        """Ask every Job to end as soon as it runs, until all have ended or one does not."""
        names = [one.name for one in self.lab.noted(notes.JOBS)]
        while left := [name for name in names if not self.lab.has("Finished", name)]:

            def running() -> list[str]:
                return [name for name in left if self.site.runs(*self.pods(name)) and self.pods(name)]

            if not self.lab.observe(lambda: bool(running()), f"one of {', '.join(left)} runs"):
                return
            ready = running()
            self.observe_running(*ready)
            if not self.end(*ready):
                return

    def note_rest(self, label: str) -> None:
        """Note what exists on the node now, and the queues' usage as they tell it once that is what is admitted."""
        self.lab.observe(self._counted, f"usage is told at {label}")
        rest = msgspec.structs.replace(self.site.rest(), usage=self._told())
        self.lab.note_under(notes.REST, label, rest)
        self.lab.mark(label)

    def finish(self) -> None:
        """Delete all Jobs and pods, give slices on demand time to go, and note what is left, as `end`."""
        for one in reversed(self.lab.objects("Job")):  # those that wait first, or they would take what is freed
            self.lab.delete("Job", one["metadata"]["name"])
        self.site.delete(*(one["metadata"]["name"] for one in self.lab.objects("Pod")))
        self.site.observe_empty()
        self.note_rest("end")

    def _counted(self) -> bool:
        told = sum(dig(one, "status", "admittedWorkloads", default=0) for one in self.lab.objects("ClusterQueue"))
        return told == self.lab.count("Admitted") - self.lab.count("Finished")

    def _told(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for queue in self.lab.objects("ClusterQueue"):
            for flavor in dig(queue, "status", "flavorsUsage", default=[]):
                for one in flavor["resources"]:
                    found[one["name"]] = found.get(one["name"], 0) + int(one["total"])
        return found


@contextmanager
def opened(lab: KueueLab, slicer: SlicerName, **options: Any) -> Generator[QueuedSite]:
    """A sliced node, as `slicing.opened` has it, for jobs that are queued; they are deleted at the end of the block."""
    with slicing.opened(lab, slicer, **options) as site:
        site.require_asked_profiles("quota is counted in credits of an A100 with 40 GB")
        queued = QueuedSite(site, lab)
        yield queued
        queued.finish()


def per_slicer(
    known: Mapping[str, Deviation],
    *,
    timeout: float,
    profile: str,
    only: Sequence[SlicerName] = SLICERS,
    outside: bool = True,
) -> Callable[[Callable[[KueueLab, SlicerName], None]], Any]:
    """Declare a scenario once per slicer of `only`, with Kueue in `profile`; `known` deviations by behaviour id.

    `outside`: it can be acted out on somebody's cluster as well.
    """
    needs = {one.name: (f"program:{one.program}",) for one in PROGRAMS if one.name in only}
    return per_variant(
        needs, lambda id, _: known.get(id), system="platform", timeout=timeout, profile=profile, outside=outside
    )
