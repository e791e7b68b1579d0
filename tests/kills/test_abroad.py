"""Mutants on a cluster like a user's: the judge of `tests.live.mutants_abroad`, on rows that are doctored."""

from __future__ import annotations

import pytest

from gpuassay.session.declared import everything
from tests.live.mutants_abroad import drawn
from tests.live.mutants_rows import Broken, table
from tests.live.rights_loop import SAMPLES


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (Broken("kueue", "identity", 9, {"a": "PASS", "b": "SKIP"}), ""),
        (Broken("kueue", "preemption-off", 9, {"a": "FAIL", "b": "SKIP"}), ""),
        (Broken("kueue", "identity", 9, {"a": "PASS", "b": "FAIL"}), "must be PASS: b: FAIL"),
        (Broken("kueue", "identity", 9, {"a": "ERROR"}), "must be PASS: a: ERROR"),
        (Broken("kueue", "preemption-off", 9, {"a": "FAIL", "b": "PASS"}), "must be FAIL: b: PASS"),
        (Broken("kueue", "preemption-off", 9, {"a": "ERROR"}), "must be FAIL: a: ERROR"),
        (Broken("kueue", "preemption-off", 9, {"a": "SKIP"}), "nothing was judged"),
        (Broken("kueue", "preemption-off", 9, {"a": "INCONCLUSIVE"}), "nothing was judged"),
        (Broken("kueue", "preemption-off", 9), "nothing was judged"),
    ],
)
def test_only_a_kill_counts_and_identity_kills_nothing(row: Broken, problem: str) -> None:
    """Red when a green or an error under a mutant passes for a kill, or a red one without passes for sound."""
    assert row.problem == problem
    assert problem in table([row])


def test_the_same_seed_draws_the_same_behaviours_that_name_the_mutant() -> None:
    """Red when a mutant is tried on behaviours that do not name it, or a sample cannot be had again."""
    declared = everything()
    named = {one.test: one.behaviour.mutant for one in declared}
    for sample in SAMPLES.values():
        found = drawn(sample, 1, 4, 2, declared)
        assert found == drawn(sample, 1, 4, 2, declared) and len(found) == 5
        for mutant, tests in found.items():
            assert mutant == "identity" or {named[test] for test in tests} == {mutant}
