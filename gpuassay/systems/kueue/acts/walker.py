"""Acts out a random walk (`objects.walks`), step by step, and lets it come to rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuassay.manifest import dig
from gpuassay.systems.kueue.acts import walk_edits, walk_work
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.step_taker import StepTaker
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walks import Step, Walk

ACTS: Mapping[str, Callable[[KueueLab, Walk, Step], str]] = {**walk_work.ACTS, **walk_edits.ACTS}
"""What each act does, and the name of what it was done to."""

GC_SECONDS = 45.0
"""Twice the period of the pod garbage collector, 20 s (`pkg/controller/podgc`, `gcCheckPeriod`), and some more."""


class Walker(StepTaker):
    """A walk over queues."""

    def set_up(self) -> None:
        """Create the site."""
        lab, site = self.lab, self.walk.site
        for name, value in site.classes.items():
            lab.priority_class(name, value)
        for name, options in site.flavors.items():
            lab.flavor(name, **options)
        for name in site.cohorts:
            lab.create(walk_edits.cohort_of(lab, self.walk, name))
        for name in site.queues:
            lab.create(walk_edits.queue_of(lab, self.walk, name))
            lab.create(kueue.local_queue(name, lab.namespace, lab.unique(name)))
        lab.until_active(*(lab.unique(name) for name in site.queues))

    def go(self) -> None:
        """Take every step."""
        self.take_steps(lambda step: ACTS[step.act](self.lab, self.walk, step), walk_work.MAKES)

    def rest(self) -> None:
        """End evictions until nobody is evicted any more, and let Jobs end that end of themselves."""
        self.end_evictions(within=1.5)
        self.lab.observe(
            self._collected, "pods that were deleted before they had a node to be failed", timeout=GC_SECONDS
        )

    def _collected(self) -> bool:
        """Whether no pod is left for Kubernetes' garbage collector to fail: it would do so amid later looks."""
        return not any(
            dig(pod, "metadata", "deletionTimestamp") and dig(pod, "status", "phase") == "Pending"
            for pod in self.lab.objects("Pod")
        )
