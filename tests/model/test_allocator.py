"""The allocator's oracle: small cases by hand, each rule broken once, and the generator's promises."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpuassay.systems.slices.model.allocator import Given, Id, findings, possible
from gpuassay.systems.slices.model.pools import (
    ALL,
    KINDS,
    NO_EXECUTE,
    NONE,
    Ask,
    Case,
    Device,
    Slice,
    Want,
    cases,
    smaller,
)

ONE = {"units": 1}


def pool(*devices: Device, units: int = 0, **fields: object) -> list[Slice]:
    """A complete pool, with counters if it has units."""
    if not units:
        return [Slice("p", devices=list(devices), **fields)]  # type: ignore[arg-type]
    return [Slice("p", count=2, counters={"units": units}), Slice("p", count=2, devices=list(devices))]


def got(*names: str, want: int = 0, memory: int = 0) -> list[Given]:
    return [Given(want, Id(0, "p", name), memory) for name in names]


X, Y = Device("x"), Device("y", "b", 1)
PLAIN = pool(X, Y)
POSSIBLE: list[tuple[list[Slice], Ask, list[str] | None]] = [
    (PLAIN, Ask([Want()]), ["x"]),
    (PLAIN, Ask([Want(model="b")]), ["y"]),
    (PLAIN, Ask([Want(2)]), ["x", "y"]),
    (PLAIN, Ask([Want(3)]), None),
    (PLAIN, Ask([Want(model="c")]), None),
    (PLAIN, Ask([Want(ALL)]), ["x", "y"]),
    (PLAIN, Ask([Want(ALL, "c")]), None),
    (PLAIN, Ask([Want(2)], alike=True), None),
    (PLAIN, Ask([Want(model="b"), Want()]), ["y", "x"]),
    (pool(Device("x", taint=NO_EXECUTE)), Ask([Want()]), None),
    (pool(Device("x", taint=NO_EXECUTE)), Ask([Want(tolerates=True)]), ["x"]),
    (pool(Device("x", taint=NONE)), Ask([Want()]), ["x"]),
    (pool(X, count=2), Ask([Want()]), None),
    ([*pool(X), Slice("p", generation=2, count=2, devices=[Y])], Ask([Want()]), None),
    ([*pool(X), Slice("p", generation=2, devices=[Y])], Ask([Want(ALL)]), ["y"]),
    ([*pool(X), Slice("q", count=2, devices=[Y])], Ask([Want()]), ["x"]),
    ([*pool(X), Slice("q", count=2, devices=[Y])], Ask([Want(ALL)]), None),
    ([Slice("p", count=2, devices=[X]), Slice("p", count=2, devices=[Y], elsewhere=True)], Ask([Want(2)]), None),
    ([*pool(X), Slice("p", generation=2, devices=[Y], elsewhere=True)], Ask([Want()]), None),
    ([Slice("p", count=2, devices=[X]), Slice("p", count=2, devices=[X])], Ask([Want()]), None),
    (pool(Device("x", uses=ONE), Device("y", uses=ONE), units=1), Ask([Want()]), ["x"]),
    (pool(Device("x", uses=ONE), Device("y", uses=ONE), units=1), Ask([Want(2)]), None),
    (pool(Device("x", multiple=True)), Ask([Want(memory=4), Want(memory=4)]), ["x", "x"]),
    (pool(Device("x", multiple=True)), Ask([Want(memory=4), Want()]), None),
    (pool(Device("x", multiple=True)), Ask([Want(2, memory=1)]), None),
    (pool(Device("x", memory=4)), Ask([Want(memory=6)]), None),
]  # fmt: skip


@pytest.mark.parametrize(("slices", "ask", "expected"), POSSIBLE)
def test_what_can_be_had_is_known(slices: list[Slice], ask: Ask, expected: list[str] | None) -> None:
    """Red when the oracle forgets a rule, in either direction; and when what it offers is none by its own rules."""
    found = possible(Case(slices, [ask]), [], ask)
    assert (None if found is None else [one.device.name for one in found]) == expected
    assert findings(Case(slices, [ask]), [found]) == []


WRONG: list[tuple[list[Slice], Ask, Sequence[Given] | None, str]] = [
    (PLAIN, Ask([Want()]), None, "claim 0 waits, although it could have p/x"),
    (PLAIN, Ask([Want(model="b")]), got("x"), "is of model a, asked for b"),
    (PLAIN, Ask([Want(2)]), got("x"), "request 0 got 1 devices, expected 2"),
    (PLAIN, Ask([Want(2)]), got("x", "x"), "p/x of driver 0 is given out 2 times"),
    (PLAIN, Ask([Want(ALL)]), got("x"), "request 0 got 1 devices, expected 2"),
    (PLAIN, Ask([Want(2)], alike=True), got("x", "y"), "of several NUMA nodes"),
    (PLAIN, Ask([Want()]), got("z"), "p/z of driver 0 is no device of a complete, newest pool"),
    (pool(X, count=2), Ask([Want()]), got("x"), "no device of a complete, newest pool"),
    (pool(Device("x", taint=NO_EXECUTE)), Ask([Want()]), got("x"), "a taint that is not tolerated"),
    ([*pool(X), Slice("q", count=2)], Ask([Want(ALL)]), got("x"), "given all devices while a pool was incomplete"),
    (
        pool(Device("x", uses=ONE), Device("y", uses=ONE), units=1), Ask([Want(2)]), got("x", "y"),
        "counter units of p has 1 units, given out are 2",
    ),
    (pool(Device("x", multiple=True)), Ask([Want(memory=4)]), got("x", memory=2), "charged 2 Gi, expected 4"),
    (pool(Device("x", memory=4)), Ask([Want(memory=6)]), got("x"), "has 4 Gi, asked for 6"),
]  # fmt: skip


@pytest.mark.parametrize(("slices", "ask", "given", "words"), WRONG)
def test_a_wrong_outcome_is_found(slices: list[Slice], ask: Ask, given: Sequence[Given] | None, words: str) -> None:
    """Red when an invalid allocation, or a claim that waits in vain, goes unseen."""
    found = findings(Case(slices, [ask]), [given])
    assert any(words in one for one in found), found


def test_what_earlier_claims_hold_counts() -> None:
    """Red when the oracle forgets what is given out already, of devices, memory or counters."""
    both = Case(PLAIN, [Ask([Want(model="a")])] * 2)
    assert findings(both, [got("x"), None]) == []
    assert findings(both, [got("x"), got("x")]) != []
    parts = Case(pool(Device("x", multiple=True)), [Ask([Want(memory=6)])] * 2)
    assert findings(parts, [got("x", memory=6), None]) == []
    assert findings(parts, [got("x", memory=6), got("x", memory=6)]) != []


def test_cases_are_those_of_their_seed_and_of_every_outcome() -> None:
    """Red when a seed does not replay its cases, or when nearly all cases have the same outcome."""
    assert cases(3, 30) == cases(3, 30) != cases(4, 30)
    served = [possible(case, [], case.asks[0]) is not None for case in cases(1, 120)]
    assert 30 < sum(served) < 110, sum(served)
    assert all(kind is not None for kind in KINDS)


def test_smaller_cases_are_smaller_and_come_to_an_end() -> None:
    """Red when shrinking may go on for ever, or loses nothing."""
    case = cases(1, 1)[0]
    size = len(str(case))
    for _ in range(200):
        tries = list(smaller(case))
        if not tries:
            break
        case = tries[-1]
        assert len(str(case)) < size
        size = len(str(case))
    assert not list(smaller(Case(pool(X), [Ask([Want()])])))[1:], "one slice more can be lost, and no more"
