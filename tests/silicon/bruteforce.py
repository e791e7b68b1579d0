"""What MIG allows, once more and by other means: occupied slots as a list of owners, rules by trying.

It shares the table of profiles with the library and no line of reasoning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuassay.gpus import GpuModel

OK, INVALID_ARGUMENT, NOT_FOUND, IN_USE, INSUFFICIENT_RESOURCES = 0, 2, 6, 19, 23


@dataclass
class Instance:
    """A GPU instance and the compute slices of it that are owned, by compute instance id."""

    id: int
    profile: int
    start: int
    compute: dict[int, set[int]] = field(default_factory=dict[int, set[int]])


@dataclass
class OneGpu:
    """A GPU as a set of instances."""

    model: GpuModel
    instances: dict[int, Instance] = field(default_factory=dict[int, Instance])

    def owners(self) -> list[int | None]:
        """Of each memory slice the instance that owns it."""
        slots: list[int | None] = [None] * self.model.memory_slices
        for one in self.instances.values():
            for slot in range(one.start, one.start + self.model.profiles[one.profile].size):
                assert slots[slot] is None, "two instances in one slot"
                slots[slot] = one.id
        return slots

    def create(self, profile: int, start: int) -> int:
        """Try it; the code that NVML would answer."""
        wanted = self.model.profiles[profile]
        slots = self.owners()
        window = slots[start : start + wanted.size]
        siblings = [one for one in self.instances.values() if one.profile == profile]
        if start not in wanted.starts or any(owner is not None for owner in window) or len(siblings) == wanted.most:
            return INSUFFICIENT_RESOURCES
        number = next(n for n in range(wanted.first_instance, 99) if n not in self.instances)
        self.instances[number] = Instance(number, profile, start)
        return OK

    def destroy(self, number: int) -> int:
        """Destroy an instance."""
        if number not in self.instances:
            return NOT_FOUND
        if self.instances[number].compute:
            return IN_USE
        del self.instances[number]
        return OK

    def create_compute(self, number: int, slices: int) -> int:
        """Make a compute instance of `slices` at the first place that is free."""
        if number not in self.instances:
            return NOT_FOUND
        one = self.instances[number]
        profile = self.model.profiles[one.profile]
        known = [compute for compute in profile.compute_profiles if compute.slices == slices]
        if not known:
            return INVALID_ARGUMENT
        owned = {slot for window in one.compute.values() for slot in window}
        for start in known[0].starts:
            window = set(range(start, start + slices))
            if not window & owned:
                one.compute[next(n for n in range(99) if n not in one.compute)] = window
                return OK
        return INSUFFICIENT_RESOURCES

    def destroy_compute(self, number: int, compute: int) -> int:
        """Destroy a compute instance."""
        if number not in self.instances or compute not in self.instances[number].compute:
            return NOT_FOUND
        del self.instances[number].compute[compute]
        return OK
