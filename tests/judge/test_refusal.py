"""The judge of refusals must see each way in which a refusal can be worth nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.record.recording import Attempt
from gpuassay.systems.kueue.judge.refusal import SCHEMA, gate_of, refusal_findings, twin_label

HOOK = "vthing.kb.io"
BY_HOOK = f'admission webhook "{HOOK}" denied the request: spec.size: Invalid value: -1: must not be negative'
BY_SCHEMA = 'Thing.example.com "x" is invalid: spec.size: Unsupported value: "no"'


ACCEPTED = Attempt(accepted=True)


def refused(message: str, status: int = 403) -> Attempt:
    return Attempt(accepted=False, status=status, reason="Forbidden", message=message)


def findings(bad: Attempt, twin: Attempt = ACCEPTED, gate: str = HOOK, says: str = "negative") -> list[str]:
    return refusal_findings({"a": bad, twin_label("a"): twin}, "a", gate, says)


def test_a_refusal_by_the_right_gate_is_fine() -> None:
    assert findings(refused(BY_HOOK)) == []
    assert findings(refused(BY_SCHEMA, 422), gate=SCHEMA, says="Unsupported value") == []


def test_an_accepted_object_is_found() -> None:
    assert findings(ACCEPTED) == [f"a: expected {HOOK} to refuse it, but it was accepted"]


def test_a_refused_twin_makes_the_refusal_worthless() -> None:
    [found] = findings(refused(BY_HOOK), refused(BY_HOOK))
    assert "healthy twin is refused too" in found


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        (refused(BY_SCHEMA, 422), "seen schema"),
        (refused(BY_HOOK.replace(HOOK, "vother.kb.io")), "seen vother.kb.io"),
        (refused("the server is on fire: negative"), "seen somebody else"),
        (refused(BY_HOOK, 500), "expected status 4xx, seen 500"),
        (refused(BY_HOOK.replace("negative", "so")), "expected the message to say 'negative'"),
    ],
)
def test_a_refusal_for_another_reason_is_found(bad: Attempt, part: str) -> None:
    assert any(part in one for one in findings(bad))


@pytest.mark.parametrize("attempts", [{}, {"a": ACCEPTED}, {twin_label("a"): ACCEPTED}])
def test_what_was_not_tried_is_not_proved(attempts: dict[str, Attempt]) -> None:
    assert refusal_findings(attempts, "a", HOOK, "") == ["a: was not attempted together with its healthy twin"]


@given(st.text())
def test_any_text_has_at_most_one_gate(message: str) -> None:
    gate = gate_of(message)
    assert gate in ("", SCHEMA) or f'"{gate}"' in message
