"""The allocator's oracle: by trying everything, whether a claim can be given devices, and whether what it got is valid.

It knows nothing of how the scheduler searches. Rules: devices of the newest generation of a complete pool with unique
names; not in use, unless they are shared; every request's model and count; taints that are tolerated; one NUMA node if
asked; counters and shared memory that suffice for all that is held. Source: Kubernetes 1.36 resource.k8s.io/v1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from gpuassay.systems.slices.model.pools import ALL, NO_EXECUTE, NO_SCHEDULE, Ask, Case, Device, Slice, Want


class Id(NamedTuple):
    """A device: number of its driver, its pool, its name."""

    driver: int
    pool: str
    name: str


class Given(NamedTuple):
    """A device that was given to a request: its number, the device, Gi of its memory that the claim consumes."""

    want: int
    device: Id
    memory: int = 0


class Pools:
    """The pools of a case as a node may use them.

    Attributes:
        devices: those that may be given out.
        unsure: whether a pool is incomplete or invalid, so that nobody can be given all devices.
    """

    def __init__(self, case: Case) -> None:
        """Keeps what is of the newest generation, and complete."""
        groups: dict[tuple[int, str], list[Slice]] = defaultdict(list)
        for one in case.slices:
            groups[one.driver, one.pool].append(one)
        self.devices: dict[Id, Device] = {}
        self.counters: dict[tuple[int, str], Mapping[str, int]] = {}
        self.unsure = False
        for (driver, pool), slices in groups.items():
            newest = max(one.generation for one in slices)
            current = [one for one in slices if one.generation == newest]
            here = [one for one in current if not one.elsewhere]
            names = [device.name for one in here for device in one.devices]
            counters = {name: units for one in current for name, units in one.counters.items()}
            uses = {name for one in current for device in one.devices for name in device.uses}
            if not here:
                continue
            if (
                {one.count for one in current} != {len(current)}
                or len(set(names)) < len(names)
                or uses - counters.keys()
            ):
                self.unsure = True
                continue
            self.devices |= {Id(driver, pool, device.name): device for one in here for device in one.devices}
            self.counters[driver, pool] = counters


def possible(case: Case, held: Sequence[Sequence[Given]], ask: Ask) -> list[Given] | None:
    """An allocation for `ask` beside what is held, None where there is none; all choices are tried."""
    pools = Pools(case)
    return next(_complete(pools, held, ask, []), None)


def _complete(pools: Pools, held: Sequence[Sequence[Given]], ask: Ask, chosen: list[Given]) -> Iterator[list[Given]]:
    number = len({one.want for one in chosen})
    if number == len(ask.wants):
        yield chosen
        return
    want = ask.wants[number]
    fitting = [id_ for id_, device in pools.devices.items() if matches(device, want)]
    if want.count == ALL and (pools.unsure or not fitting):
        return
    for ids in combinations(fitting, len(fitting) if want.count == ALL else want.count):
        more = [Given(number, id_, consumed(pools.devices[id_], want)) for id_ in ids]
        if not violations(pools, held, ask, [*chosen, *more]):
            yield from _complete(pools, held, ask, [*chosen, *more])


def matches(device: Device, want: Want) -> bool:
    """Whether a request selects a device; whether it may have it is another matter."""
    return want.model in {"", device.model}


def consumed(device: Device, want: Want) -> int:
    """Gi of a shared device's memory that a request takes: what it asks for, or all of it."""
    return (want.memory or device.memory) if device.multiple else 0


def violations(pools: Pools, held: Sequence[Sequence[Given]], ask: Ask, given: Sequence[Given]) -> list[str]:
    """What is not allowed of devices given to `ask`, as far as they go, as sentences."""
    found = [
        f"{_name(one.device)} is no device of a complete, newest pool"
        for one in given
        if one.device not in pools.devices
    ]
    if found:
        return found
    for one in given:
        device, want = pools.devices[one.device], ask.wants[one.want]
        if not matches(device, want):
            found.append(f"{_name(one.device)} is of model {device.model}, asked for {want.model}")
        if device.taint in {NO_SCHEDULE, NO_EXECUTE} and not want.tolerates:
            found.append(f"{_name(one.device)} has a taint that is not tolerated")
        if want.memory > device.memory:
            found.append(f"{_name(one.device)} has {device.memory} Gi, asked for {want.memory}")
        if one.memory != consumed(device, want):
            found.append(f"{_name(one.device)} is charged {one.memory} Gi, expected {consumed(device, want)}")
    if ask.alike and len({pools.devices[one.device].numa for one in given}) > 1:
        found.append("the devices are of several NUMA nodes")
    return found + _overdrawn(pools, [one for claim in [*held, given] for one in claim])


def _overdrawn(pools: Pools, every: Sequence[Given]) -> list[str]:
    """Devices, memory and counters of which more is given out than there is."""
    known = [one for one in every if one.device in pools.devices]
    times = Counter(one.device for one in known)
    found = [
        f"{_name(id_)} is given out {n} times" for id_, n in times.items() if n > 1 and not pools.devices[id_].multiple
    ]
    memory: Counter[Id] = Counter()
    for one in known:
        memory[one.device] += one.memory
    found += [
        f"{_name(id_)} has {pools.devices[id_].memory} Gi, given out are {gi}"
        for id_, gi in memory.items()
        if gi > pools.devices[id_].memory
    ]
    units: Counter[tuple[int, str, str]] = Counter()
    for id_ in times:
        for name, amount in pools.devices[id_].uses.items():
            units[id_.driver, id_.pool, name] += amount
    found += [
        f"counter {name} of {pool} has {pools.counters[driver, pool][name]} units, given out are {amount}"
        for (driver, pool, name), amount in units.items()
        if amount > pools.counters[driver, pool][name]
    ]
    return found


def findings(case: Case, outcomes: Sequence[Sequence[Given] | None]) -> list[str]:
    """Claims that wait although there are devices for them, and devices that were given and may not be."""
    pools, held, found = Pools(case), list[Sequence[Given]](), list[str]()
    for number, (ask, given) in enumerate(zip(case.asks, outcomes, strict=True)):
        if given is None:
            if could := possible(case, held, ask):
                names = ", ".join(_name(one.device) for one in could)
                found.append(f"claim {number} waits, although it could have {names}")
            continue
        found += [f"claim {number}: {words}" for words in violations(pools, held, ask, given)]
        for index, want in enumerate(ask.wants):
            got = sum(one.want == index for one in given)
            expected = sum(matches(one, want) for one in pools.devices.values()) if want.count == ALL else want.count
            if got != expected:
                found.append(f"claim {number}: request {index} got {got} devices, expected {expected}")
            if want.count == ALL and pools.unsure:
                found.append(f"claim {number}: it was given all devices while a pool was incomplete")
        held.append(given)
    return found


def _name(device: Id) -> str:
    return f"{device.pool}/{device.name} of driver {device.driver}"
