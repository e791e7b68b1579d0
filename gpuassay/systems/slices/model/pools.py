"""Small pools of devices and what is asked of them, made from a seed: cases for the allocator and its oracle.

Sources: Kubernetes 1.36 resource.k8s.io/v1 (pools and their generations, taints, constraints, allocation modes, shared
counters, multiple allocations).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

T = TypeVar("T")
ALL = 0
"""As a count: every device that matches."""
NONE, NO_SCHEDULE, NO_EXECUTE = "None", "NoSchedule", "NoExecute"


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device.

    Attributes:
        name: unique in its pool, or the pool is invalid.
        model: attribute by which it is selected.
        numa: attribute by which devices are asked to be alike.
        memory: capacity, in Gi.
        taint: effect of its taint, "" without one.
        uses: units that it takes of its pool's counters, by counter.
        multiple: whether claims share it, each with a part of its memory.
    """

    name: str
    model: str = "a"
    numa: int = 0
    memory: int = 8
    taint: str = ""
    uses: dict[str, int] = {}
    multiple: bool = False


class Slice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ResourceSlice: devices, or counters.

    Attributes:
        pool: name of its pool.
        driver: number of its driver.
        generation: of the pool.
        count: how many slices the pool has, as it says.
        devices: none where it has counters.
        counters: units of each counter.
        elsewhere: whether it is of another node.
    """

    pool: str
    driver: int = 0
    generation: int = 1
    count: int = 1
    devices: list[Device] = []
    counters: dict[str, int] = {}
    elsewhere: bool = False


class Want(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request of a claim.

    Attributes:
        count: of devices, or `ALL`.
        model: of the devices, "" for any.
        tolerates: whether it tolerates every taint.
        memory: Gi of each device that it asks for, 0 for no part of it in particular.
    """

    count: int = 1
    model: str = ""
    tolerates: bool = False
    memory: int = 0


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A claim; `alike`: all its devices have to be of one NUMA node (matchAttribute)."""

    wants: list[Want]
    alike: bool = False


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """Slices, and claims that come one after the other; none is given back."""

    slices: list[Slice]
    asks: list[Ask]


@dataclass(frozen=True)
class Kind:
    """What a generated case may have; what is off is left out."""

    taints: bool = False
    alike: bool = False
    every: bool = False
    counters: bool = False
    multiple: bool = False
    drivers: int = 1


PLAIN = Kind(taints=True, alike=True, every=True)
SHARED = Kind(taints=True, alike=True, multiple=True)
COUNTED = Kind(every=True, counters=True)
KINDS = (PLAIN, SHARED, COUNTED)
EVERYTHING = Kind(taints=True, alike=True, counters=True, drivers=2)
"""What Kubernetes 1.36 is known not to manage together; its known defects are reduced from this."""


def cases(seed: int, count: int, kinds: Sequence[Kind] = KINDS) -> list[Case]:
    """As many cases, of the kinds in turn; the same for the same seed."""
    source = random.Random(seed)
    return [case(source, kinds[number % len(kinds)]) for number in range(count)]


def case(source: random.Random, kind: Kind) -> Case:
    """A random case of that kind."""
    slices: list[Slice] = []
    for number in range(source.choice((1, 1, 2))):
        driver = source.randrange(kind.drivers)
        # pools of two drivers may have one name, as where each names its pool like the node
        slices += _pool(source, kind, "pool" if kind.drivers > 1 else f"pool-{number}", driver)
    unique = {(one.driver, one.pool, one.generation, index): one for index, one in enumerate(slices)}
    return Case(list(unique.values()), [_ask(source, kind) for _ in range(source.randint(2, 4))])


def _pool(source: random.Random, kind: Kind, name: str, driver: int) -> Iterator[Slice]:
    generation, parts = source.randint(1, 3), source.choice((1, 1, 2, 3))
    counters = {"units": source.randint(1, 4)} if kind.counters else {}
    count = parts + bool(counters)
    # an incomplete or invalid pool with counters keeps claims for all from being served on every node, whosever it is
    whole = kind.counters
    missing = source.random() < 0.15 and not whole
    if source.random() < 0.3:  # what an older generation left, which nobody may use any more
        yield Slice(name, driver, generation - 1, 1, [Device("old", source.choice("ab"), 0)])
    if counters:
        yield Slice(name, driver, generation, count, counters=counters)
    serial = 0
    for part in range(parts):
        if missing and part == parts - 1:
            continue
        devices: list[Device] = []
        for _ in range(source.randint(1, 3)):
            twice = serial > 0 and part > 0 and source.random() < 0.03 and not whole
            devices.append(_device(source, kind, f"d-{serial - 1 if twice else serial}", counters))
            serial += 1
        yield Slice(
            name, driver, generation, count, list({one.name: one for one in devices}.values()),
            elsewhere=not kind.every and parts > 1 and source.random() < 0.15,
        )  # fmt: skip


def _device(source: random.Random, kind: Kind, name: str, counters: dict[str, int]) -> Device:
    # not NoExecute: pods are evicted from such devices, and what they held is free again
    taint = source.choice(("", "", "", NONE, NO_SCHEDULE, NO_SCHEDULE)) if kind.taints else ""
    uses = {one: source.randint(1, 2) for one in counters if source.random() < 0.9}
    multiple = kind.multiple and source.random() < 0.6
    return Device(name, source.choice("ab"), source.randrange(2), source.choice((4, 8)), taint, uses, multiple)


def _ask(source: random.Random, kind: Kind) -> Ask:
    wants = [
        Want(
            ALL if kind.every and source.random() < 0.2 else source.choice((1, 1, 2)),
            source.choice(("", "a", "b")),
            kind.taints and source.random() < 0.3,
            source.choice((0, 2, 4, 6)) if kind.multiple else 0,
        )
        for _ in range(source.choice((1, 1, 2)))
    ]
    return Ask(wants, kind.alike and source.random() < 0.5)


def smaller(case: Case) -> Iterator[Case]:
    """Cases with one thing less: an ask, a slice, a device, a request; those that lose most come first."""
    for index in range(len(case.asks)):
        if len(case.asks) > 1:
            yield Case(case.slices, _without(case.asks, index))
    for index, one in enumerate(case.slices):
        rest = _without(case.slices, index)
        mates = [other for other in rest if _group(other) == _group(one)]
        fewer = [
            msgspec.structs.replace(other, count=other.count - 1) if other in mates and other.count > 1 else other
            for other in rest
        ]
        yield Case(fewer, case.asks)
        for at in range(len(one.devices)):
            if len(one.devices) > 1:
                kept = msgspec.structs.replace(one, devices=_without(one.devices, at))
                yield Case([*case.slices[:index], kept, *case.slices[index + 1 :]], case.asks)
    for index, ask in enumerate(case.asks):
        for at in range(len(ask.wants)):
            if len(ask.wants) > 1:
                kept_ask = Ask(_without(ask.wants, at), ask.alike)
                yield Case(case.slices, [*case.asks[:index], kept_ask, *case.asks[index + 1 :]])


def _group(one: Slice) -> tuple[int, str, int]:
    return one.driver, one.pool, one.generation


def _without(ones: Sequence[T], index: int) -> list[T]:
    return [*ones[:index], *ones[index + 1 :]]
