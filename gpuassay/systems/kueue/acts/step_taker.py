"""Takes the steps of a random walk one after the other, whatever they act on, and lets evictions end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from gpuassay.cluster.errors import ApiRefused
from gpuassay.systems.kueue.acts import walk_work
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects.walks import Step, Walk
from gpuassay.waiting import WaitTimeout

ROUNDS = 40
"""Evictions that may follow each other until a walk rests."""


@dataclass
class StepTaker:
    """A walk under way.

    Attributes:
        taken: the steps as they were taken, each with the name of what it was done to.
        refused: what was not done: the API server did not accept it (a walk may ask for what is not allowed), or
            there was nothing to act on.
    """

    lab: KueueLab
    walk: Walk
    taken: list[Step] = field(default_factory=list[Step])
    refused: list[str] = field(default_factory=list[str])

    def take_steps(self, act: Callable[[Step], str], makes: Collection[str]) -> None:
        """Take every step by `act`, which tells what it was done to; those of `makes` make something new."""
        for number, step in enumerate(self.walk.steps):
            # work is named by its place in the walk as it was drawn, also where steps before it are left out
            before, on = self._version(), step.on or (f"w{number:03d}" if step.act in makes else "")
            try:
                on = act(msgspec.structs.replace(step, on=on))
            except (ApiRefused, LookupError, WaitTimeout) as refused:
                self.refused.append(f"{step.text()}: {refused}")
            self.taken.append(msgspec.structs.replace(step, on=on))
            if step.pause:
                self.lab.observe(
                    lambda before=before: self._version() != before, f"step {number} seen", timeout=step.pause
                )

    def end_evictions(self, within: float) -> None:
        """End evictions, and Jobs that end of themselves, until none comes within so many seconds."""
        for _ in range(ROUNDS):
            if not self.lab.observe(lambda: bool(walk_work.to_end(self.lab)), "another eviction", timeout=within):
                return
            self.refused += walk_work.end_all(self.lab)

    def _version(self) -> int:
        return max((int(one["metadata"]["resourceVersion"]) for one in self.lab.objects("Workload")), default=0)
