"""The accounting closes, and only a run that showed something is green."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.report import accounting, findings, worst_first
from gpuassay.verdict import Level, State, Verdict
from tests.report.synthetic import six_states, verdict


def declared(state: State, level: Level, feature: str, index: int) -> Verdict:
    return verdict(f"kueue.{feature}.b{index}", state, level=level.value)


VERDICTS = st.lists(
    st.builds(
        declared,
        st.sampled_from(State),
        st.sampled_from(Level),
        st.sampled_from(["order", "quota"]),
        st.integers(0, 99),
    )
)


@given(VERDICTS)
def test_every_declared_behaviour_is_counted_once_in_every_account(verdicts: list[Verdict]) -> None:
    account = accounting(verdicts)
    assert account.declared == sum(account.states.values()) == len(verdicts)
    for groups in (account.by_suite, account.by_feature, account.by_level):
        assert sum(sum(counts.values()) for counts in groups.values()) == account.declared


@given(VERDICTS)
def test_green_needs_a_pass_and_neither_a_fail_nor_an_error(verdicts: list[Verdict]) -> None:
    states = {verdict.state for verdict in verdicts}
    red = {"FAIL", "FAIL, RECORDED", "ERROR"}
    assert accounting(verdicts).green == bool(states & {"PASS", "PASS, RECORDED"} and not states & red)


@given(VERDICTS)
def test_worst_first_keeps_every_verdict_and_orders_state_then_level(verdicts: list[Verdict]) -> None:
    ordered = worst_first(verdicts)
    assert sorted(map(id, ordered)) == sorted(map(id, verdicts))
    order = [
        "FAIL", "ERROR", "INCONCLUSIVE", "KNOWN-DEFECT", "FAIL, RECORDED", "KNOWN-DEFECT, RECORDED", "SKIP",
        "PASS, RECORDED", "PASS",
    ]  # fmt: skip
    ranks = [(order.index(v.state), list(Level).index(Level(v.level))) for v in ordered]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ([], "Nothing was declared"),
        ([State.SKIP, State.SKIP], "Nothing executed: all 2 behaviours were skipped"),
        ([State.SKIP, State.INCONCLUSIVE], "None of 2 behaviours passed"),
        ([State.KNOWN_DEFECT], "None of 1 behaviour passed"),
        ([State.PASS, State.ERROR], "The suite or its environment broke for 1 behaviour of 2"),
        ([State.PASS, State.FAIL, State.ERROR], "1 behaviour refuted (1 MUST); for 1 more the suite"),
    ],
)
def test_a_run_that_is_not_green_says_why(states: list[State], why: str) -> None:
    account = accounting([verdict(f"kueue.order.b{i}", state) for i, state in enumerate(states)])
    assert not account.green
    assert why in account.why


def test_a_green_run_names_what_did_not_pass() -> None:
    account = accounting([verdict(), verdict("kueue.order.other", State.SKIP)])
    assert account.green
    assert account.why == "1 of 2 declared behaviours held, none was refuted (1 SKIP)."


def test_executed_leaves_out_what_was_skipped_or_broke() -> None:
    assert accounting(six_states()).executed == 4


def test_equal_skip_reasons_are_one_finding_and_passes_none() -> None:
    found = findings(six_states())
    assert [(finding.state, len(finding.verdicts)) for finding in found] == [
        (State.FAIL, 1),
        (State.ERROR, 1),
        (State.INCONCLUSIVE, 1),
        (State.KNOWN_DEFECT, 1),
        (State.SKIP, 2),
    ]


def test_what_broke_for_one_reason_is_one_finding_but_failures_stay_apart() -> None:
    ids = [f"kueue.order.b{i}" for i in range(3)]
    broke = [verdict(name, State.ERROR, reason="not run: interrupted") for name in ids]
    assert [len(finding.verdicts) for finding in findings(broke)] == [3]
    assert len(findings([verdict(name, State.FAIL, reason="same") for name in ids])) == 3
