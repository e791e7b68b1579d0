"""Quantities and the quota tree."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from importlib import import_module

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpuassay.systems.kueue.model.quota import Quota, QuotaTree, over_quota, parse_quantity

QUIET = settings(derandomize=True, deadline=None, max_examples=150)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        (8, 8),
        ("500m", Fraction(1, 2)),
        ("2000m", 2),
        ("5Ki", 5120),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1.5Gi", 3 * 2**29),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("-3", -3),
        ("100n", Fraction(1, 10**7)),
        ("12e-1", Fraction(6, 5)),
    ],
)
def test_quantities_are_exact(text: str | int, value: int | Fraction) -> None:
    """Red when a suffix has a wrong scale or a float rounds."""
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "8 ", "m", "1KI", "1e", "0x8", "1.2.3", "1e9999999", "٣", "8k8"])
def test_other_text_is_refused(text: str) -> None:
    """Red when a typo in a manifest becomes a number, or an exponent eats the memory."""
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@QUIET
@given(st.decimals(-999, 999, places=3), st.sampled_from(["n", "u", "m", "", "k", "M", "Ki", "Gi"]))
def test_the_kubernetes_client_reads_the_same(number: Decimal, suffix: str) -> None:
    """Red when our grammar and that of the Kubernetes client disagree (which has no exponents)."""
    theirs: Callable[[str], Decimal] = import_module("kubernetes.utils.quantity").parse_quantity
    assert Fraction(str(theirs(f"{number}{suffix}"))) == Fraction(parse_quantity(f"{number}{suffix}"))


LIMITS = st.none() | st.integers(0, 6)


@st.composite
def trees(draw: st.DrawFn) -> QuotaTree:
    """Up to four queues under up to three cohorts in a chain, some with limits; usage at random."""
    cohorts = [f"c{i}" for i in range(draw(st.integers(1, 3)))]
    quotas = {f"q{i}": Quota(draw(st.integers(0, 6)), draw(LIMITS), draw(LIMITS)) for i in range(4)}
    parents = {q: draw(st.sampled_from(cohorts)) for q in quotas if draw(st.booleans())}
    middle = {c: Quota(draw(st.integers(0, 3)), draw(LIMITS), draw(LIMITS)) for c in cohorts[1:]}
    tree = QuotaTree(
        quotas, parents, {"c0": Quota(draw(st.integers(0, 3)))} | middle, dict(zip(cohorts[1:], cohorts, strict=False))
    )
    for queue in quotas:
        tree.add(queue, draw(st.integers(0, 4)))
    return tree


@QUIET
@given(trees(), st.sampled_from(["q0", "q1", "q2", "q3"]))
def test_available_is_the_most_that_breaks_nothing(tree: QuotaTree, queue: str) -> None:
    """Red when `available` promises too much or too little, or the invariants overlook a limit."""
    assume(not tree.violations())
    free = tree.available(queue)
    assert free >= 0
    tree.add(queue, free)
    assert tree.violations() == []
    tree.add(queue, 1)
    assert tree.violations() != []


@QUIET
@given(trees(), st.sampled_from(["q0", "q1", "q2", "q3"]))
def test_potential_is_what_is_available_when_nothing_is_used(tree: QuotaTree, queue: str) -> None:
    """Red when the greatest possible request is judged by present usage."""
    potential = tree.queue(queue).potential()
    assert over_quota(tree, {}) == []
    assert tree.available(queue) == potential


@pytest.mark.parametrize(
    ("a", "b", "most"),
    [
        (Quota(2), Quota(2), 4),
        (Quota(2, borrowing_limit=1), Quota(2), 3),
        (Quota(2, borrowing_limit=0), Quota(2), 2),
        (Quota(2), Quota(2, lending_limit=1), 3),
        (Quota(2), Quota(2, lending_limit=0), 2),
        (Quota(2, borrowing_limit=9), Quota(2), 4),
    ],
)
def test_how_much_two_queues_of_a_cohort_can_take(a: Quota, b: Quota, most: int) -> None:
    """Red when borrowing or lending limits are ignored; the numbers were seen on Kueue v0.19.2."""
    tree = QuotaTree({"a": a, "b": b}, {"a": "team", "b": "team"})
    assert tree.available("a") == most
    assert over_quota(tree, {"a": most}) == []
    assert len(over_quota(tree, {"a": most + 1})) >= 1


def test_a_lender_keeps_what_it_may_not_lend() -> None:
    """Red when a borrower can take the part of another queue that its lending limit protects."""
    tree = QuotaTree({"a": Quota(2), "b": Quota(4, lending_limit=1)}, {"a": "team", "b": "team"})
    tree.add("a", 3)
    assert tree.available("b") == 3


def test_a_queue_without_cohort_borrows_nothing() -> None:
    """Red when a borrowing limit counts where there is nobody to borrow from."""
    assert over_quota(QuotaTree({"a": Quota(2, borrowing_limit=5)}), {"a": 3}) == [
        "ClusterQueue a uses 3 of 2 and has no cohort to borrow from"
    ]


def test_bad_trees_are_refused() -> None:
    """Red when a cycle hangs, or a misspelt queue is silently another one."""
    with pytest.raises(ValueError, match="cycle: a -> b -> a"):
        QuotaTree({}, {}, {}, {"a": "b", "b": "a"})
    with pytest.raises(ValueError, match="do not exist: x"):
        QuotaTree({"q": Quota(1)}, {"x": "team"})
    with pytest.raises(ValueError, match="no ClusterQueue 'y'"):
        over_quota(QuotaTree({"q": Quota(1)}), {"y": 1})
    with pytest.raises(ValueError, match="cannot give back 1"):
        QuotaTree({"q": Quota(1)}).remove("q", 1)
