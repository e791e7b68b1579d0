"""What a run under lesser rights came to: the judge of `tests.live.rights_loop`, on rows that are doctored."""

from __future__ import annotations

import pytest

from tests.live.rights_rows import Row, table

RIGHT = "watch workloads.kueue.x-k8s.io"
NAMED = [f"from outside: this identity may not {RIGHT}, so what happens could not be seen"]
SERVERS = ['403 Forbidden: User "it" cannot watch resource "workloads" in API group "kueue.x-k8s.io"']
TOLD = ["kueue.x-k8s.io: workloads: watch"]


@pytest.mark.parametrize("reasons", [NAMED, SERVERS])
@pytest.mark.parametrize("state", ["ERROR", "SKIP"])
def test_a_right_that_is_named_is_as_it_must_be(reasons: list[str], state: str) -> None:
    """Red when an error or a skip that names verb and resource counts as a problem."""
    assert not Row("kueue", RIGHT, 1, 9, states={"a": state, "b": "PASS"}, reasons=reasons).problem
    assert not Row("kueue", RIGHT, 2, 9, said=SERVERS).problem


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (Row("kueue", RIGHT, None, 400), "hangs"),
        (Row("kueue", RIGHT, 1, 9, states={"a": "FAIL"}, reasons=NAMED), "a sound system is refuted"),
        (Row("kueue", RIGHT, 1, 9, states={"a": "ERROR"}, reasons=["WaitTimeout"]), "verb and resource are not named"),
        (Row("kueue", RIGHT, 2, 9, said=["cannot list resource"]), "verb and resource are not named"),
        (Row("kueue", RIGHT, 0, 9, states={"a": "PASS"}), "green, and nothing is told of the right"),
        (Row("kueue", RIGHT, 0, 9, states={"a": "PASS"}, told=TOLD, left=["Job a"]), "what is left is not told"),
        (Row("kueue", "", 1, 9, states={"a": "PASS", "b": "ERROR"}), "the whole role does not suffice"),
        (Row("kueue", "", 1, 9, states={"a": "SKIP"}), "the whole role does not suffice"),
    ],
)
def test_what_is_not_as_it_must_be_is_found(row: Row, problem: str) -> None:
    """Red when a hang, a false refutation, an unnamed right or a silent green passes."""
    assert row.problem == problem
    assert problem in table([row])


def test_a_right_that_the_sample_does_not_use_may_be_green_where_it_is_told() -> None:
    """Red when a run that is rightly green is called a problem."""
    assert not Row("kueue", RIGHT, 0, 9, states={"a": "PASS", "b": "KNOWN-DEFECT"}, told=TOLD).problem
    assert not Row("kueue", "", 0, 9, states={"a": "PASS", "b": "SKIP"}).problem
