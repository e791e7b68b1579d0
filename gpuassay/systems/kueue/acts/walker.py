"""Acts out a random walk (`objects.walks`), step by step, and lets it come to rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import msgspec

from gpuassay.cluster.errors import ApiRefused
from gpuassay.systems.kueue.acts import walk_edits, walk_work
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walks import Step, Walk
from gpuassay.waiting import WaitTimeout

ROUNDS = 40
"""Evictions that may follow each other until a walk rests."""

ACTS: Mapping[str, Callable[[KueueLab, Walk, Step], str]] = {**walk_work.ACTS, **walk_edits.ACTS}
"""What each act does, and the name of what it was done to."""


@dataclasses.dataclass
class Walker:
    """A walk under way.

    Attributes:
        taken: the steps as they were taken, each with the name of what it was done to.
        refused: what was not done: the API server did not accept it (a walk may ask for what is not allowed), or
            there was nothing to act on.
    """

    lab: KueueLab
    walk: Walk
    taken: list[Step] = dataclasses.field(default_factory=list[Step])
    refused: list[str] = dataclasses.field(default_factory=list[str])

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
        for number, step in enumerate(self.walk.steps):
            before, on = self._version(), step.on
            try:
                # work is named by its place in the walk as it was drawn, also where steps before it are left out
                on = on or (f"w{number:03d}" if step.act in walk_work.MAKES else "")
                on = ACTS[step.act](self.lab, self.walk, msgspec.structs.replace(step, on=on))
            except (ApiRefused, LookupError, WaitTimeout) as refused:
                self.refused.append(f"{step.text()}: {refused}")
            self.taken.append(msgspec.structs.replace(step, on=on))
            if step.pause:
                self.lab.observe(
                    lambda before=before: self._version() != before, f"step {number} seen", timeout=step.pause
                )

    def rest(self) -> None:
        """End evictions until nobody is evicted any more, and let Jobs end that end of themselves."""
        for _ in range(ROUNDS):
            if not self.lab.observe(lambda: bool(walk_work.to_end(self.lab)), "another eviction", timeout=1.5):
                return
            self.refused += walk_work.end_all(self.lab)

    def _version(self) -> int:
        return max((int(one["metadata"]["resourceVersion"]) for one in self.lab.objects("Workload")), default=0)
