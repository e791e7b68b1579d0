"""Claims: how often the rule errs and what it finds, by simulation; and its edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gpuassay.stats.claims import Claim, Outcome, Plan, detectable, judge, power, settled
from gpuassay.stats.evidence import Estimate, Evidence, differences, pairs, several

RECORDED = (103.16, 104.0), (107.52, 108.04), (112.22, 115.33), (104.64, 105.15)
"""Makespans in s of the A/A arms of the four whole runs that were committed so far: FIFO, and FIFO again."""
LOGS = np.array([math.log(again / once) for once, again in RECORDED])
RESIDUALS = (LOGS - LOGS.mean()) * math.sqrt(4 / 3)
"""Without their mean, at the spread of a sample of four: 1.08 %."""

FIXED = Plan((5,), (1.0,))
"""One look, for a comparison that is planned with five pairs."""
FASTER = Claim("arm", "makespan", "lower", 0.02)
SLOWER = Claim("arm", "makespan", "higher", 0.005)


def resampled(source: np.random.Generator, rounds: int, ratio: float) -> Evidence:
    """Pairs whose noise is drawn from the recorded A/A runs, either way round."""
    noise = source.choice(np.concatenate([RESIDUALS, -RESIDUALS]), rounds)
    return pairs(np.exp(noise + math.log(ratio)).tolist(), [1.0] * rounds)


def outcomes(trials: int, once: Callable[[np.random.Generator], dict[str, Outcome]]) -> list[dict[str, Outcome]]:
    source = np.random.default_rng(20261130)
    return [once(source) for _ in range(trials)]


def family(
    source: np.random.Generator, plan: Plan, ratios: Sequence[float], claim: Claim = FASTER, rounds: int = 10
) -> dict[str, Outcome]:
    made = {
        str(i): (Claim(str(i), claim.family, claim.direction, claim.least), resampled(source, rounds, ratio))
        for i, ratio in enumerate(ratios)
    }
    return {name: one.outcome for name, one in judge(made, plan).items()}


@pytest.mark.parametrize("claim", [FASTER, SLOWER], ids=["faster by 2 %", "slower by 0.5 %"])
def test_equal_arms_are_not_called_different(claim: Claim) -> None:
    """A/A: of 300 runs with four claims and all four looks, at most 1 % have a claim that holds."""
    found = outcomes(300, lambda source: family(source, Plan(), [1.0] * 4, claim))
    assert sum("holds" in one.values() for one in found) <= 3


def test_an_effect_that_is_not_worth_calling_one_is_not_called_one() -> None:
    """An arm 0.5 % faster was "reproduced" in 84 % of simulations when the bar was 1."""
    found = outcomes(200, lambda source: family(source, Plan(), [0.995] * 4))
    assert sum("holds" in one.values() for one in found) <= 2


def test_a_makespan_three_per_cent_longer_is_found_with_five_pairs() -> None:
    """With the spread of our own A/A recordings: in 4 of 5 runs; equal arms are called longer in at most 1 %."""
    longer = outcomes(400, lambda source: family(source, FIXED, [1.03], SLOWER, rounds=5))
    equal = outcomes(400, lambda source: family(source, FIXED, [1.0], SLOWER, rounds=5))
    assert sum(one["0"] == "holds" for one in longer) >= 320
    assert sum(one["0"] == "holds" for one in equal) <= 4


def test_the_error_is_kept_where_the_truth_is_the_bar() -> None:
    """The worst case: each claim's effect is exactly the least that counts, so either verdict is a coin's."""
    bar = 1 / 1.02
    source, wrong = np.random.default_rng(7), 0
    for _ in range(600):
        made = {
            str(i): (
                Claim(str(i), "makespan", "lower", 0.02),
                pairs(np.exp(source.normal(math.log(bar), 0.03, 10)).tolist(), [1.0] * 10),
            )
            for i in range(4)
        }
        wrong += any(one.outcome == "holds" for one in judge(made, Plan()).values())
    assert wrong / 600 <= 0.015  # 0.01, and two standard errors of the simulation


@pytest.mark.parametrize("spread", [0.01, 0.057])
def test_a_baseline_played_four_times_a_round_keeps_the_error(spread: float) -> None:
    """Plain Jobs scatter by 5.7 %, a queued arm by as much or less: equal means are called different in 1 % at most."""
    source, wrong = np.random.default_rng(5), 0
    plan = Plan((3, 5, 7), (0.1, 0.5, 0.4))
    for _ in range(300):
        base = np.exp(source.normal(0, 0.057, (7, 4))).tolist()
        made = {
            str(i): (
                Claim(str(i), "makespan", "lower", 0.02),
                several(np.exp(source.normal(0, spread, (7, 1))).tolist(), base),
            )
            for i in range(4)
        }
        wrong += any(one.outcome == "holds" for one in judge(made, plan).values())
    assert wrong <= 3


def test_one_round_never_decides() -> None:
    for rounds in (1, 2):
        found = judge({"a": (FASTER, pairs([0.5] * rounds, [1.0] * rounds))}, Plan())["a"]
        assert found.outcome == "undecided"
        assert "of at least 3 rounds" in found.reason
        assert found.value == pytest.approx(0.5)


def test_a_claim_holds_or_is_refuted_and_its_interval_says_so() -> None:
    ours, base = [0.84, 0.85, 0.86, 0.85, 0.845], [1.0, 1.01, 0.99, 1.0, 1.0]
    clear = judge({"a": (FASTER, pairs(ours, base))}, Plan())["a"]
    assert (clear.outcome, clear.rounds) == ("holds", 5)
    assert clear.high < 1 / 1.02
    against = judge({"a": (FASTER, pairs(base, ours))}, Plan())["a"]
    assert against.outcome == "refuted"
    assert against.low > 1 / 1.02


def test_what_a_look_has_decided_stays_decided() -> None:
    wild = [0.85, 0.88, 0.83, 0.86, 0.84, 1.9, 0.2]
    found = judge({"a": (FASTER, pairs(wild, [1.0] * 7))}, Plan())["a"]
    assert (found.outcome, found.rounds) == ("holds", 5)


def test_the_same_within_bounds() -> None:
    same = Claim("a", "f", "equal", 0.1)
    assert judge({"a": (same, pairs([1.03, 1.0, 0.99, 1.02, 1.01], [1.0] * 5))}, Plan())["a"].outcome == "holds"
    assert judge({"a": (same, pairs([1.31, 1.3, 1.29, 1.3, 1.3], [1.0] * 5))}, Plan())["a"].outcome == "refuted"


def test_a_control_that_failed_refuses_both_verdicts() -> None:
    both = {
        "fast": (Claim("fast", "f", "lower", 0.02), pairs([0.5, 0.51, 0.5], [1.0] * 3)),
        "slow": (Claim("slow", "f", "lower", 0.02), pairs([1.5, 1.51, 1.5], [1.0] * 3)),
    }
    found = judge(both, Plan(), refused="the control is 5 % off")
    assert {one.outcome for one in found.values()} == {"undecided"}
    assert {one.reason for one in found.values()} == {"the control is 5 % off"}
    assert {one.outcome for one in judge(both, Plan()).values()} == {"holds", "refuted"}


def test_holm_lets_the_next_claim_have_what_the_clearest_no_longer_needs() -> None:
    clear = pairs([0.5, 0.51, 0.5, 0.5, 0.505], [1.0] * 5)
    close = pairs([0.95, 0.945, 0.953, 0.948, 0.951], [1.0] * 5)
    alone = judge({"b": (Claim("b", "f", "lower", 0.02), close)}, Plan())["b"]
    beside = judge({"a": (Claim("a", "f", "lower", 0.02), clear), "b": (Claim("b", "f", "lower", 0.02), close)}, Plan())
    assert alone.outcome == beside["b"].outcome == "holds"
    assert beside["a"].confidence > beside["b"].confidence == pytest.approx(alone.confidence)


def test_rounds_stop_when_more_would_not_help() -> None:
    at_the_bar = pairs([0.98, 0.9805, 0.9802], [1.0] * 3)
    scattered = pairs([0.7, 1.3, 1.0], [1.0] * 3)
    found = judge({"a": (FASTER, scattered)}, Plan())
    assert (found["a"].outcome, settled(found)) == ("hopeless", True)
    assert "worth their time" in found["a"].reason
    last = judge({"a": (FASTER, pairs([0.98, 0.99, 0.97] * 4, [1.0] * 12))}, Plan())["a"]
    assert (last.outcome, last.rounds) == ("undecided", 10)
    assert not settled(judge({"a": (FASTER, pairs([0.96, 0.95, 0.97], [1.0] * 3))}, Plan()))
    assert judge({"a": (FASTER, at_the_bar)}, Plan())["a"].outcome != "holds"


def test_a_baseline_played_more_often_takes_its_own_scatter_out() -> None:
    source = np.random.default_rng(3)
    ours = np.exp(source.normal(math.log(0.9), 0.01, (5, 1))).tolist()
    base = np.exp(source.normal(0, 0.05, (5, 4))).tolist()
    many, few = several(ours, base).after(), several(ours, [one[:1] for one in base]).after()
    assert many.error < few.error
    assert many.freedom > few.freedom


def test_differences_are_judged_in_their_unit() -> None:
    bound = Claim("added", "figure 5", "lower", 0.0, reference=11.0, kind="difference")
    assert judge({"a": (bound, differences([5.0, 5.2, 4.9, 5.1, 5.0], [1.0] * 5))}, Plan())["a"].outcome == "holds"
    assert (
        judge({"a": (bound, differences([25.0, 25.2, 24.9, 25.1, 25.0], [1.0] * 5))}, Plan())["a"].outcome == "refuted"
    )


def test_what_n_rounds_can_see() -> None:
    found = Estimate(5, 0.0, 0.0108 / math.sqrt(5), 4)
    least = detectable(found, 0.01, "difference")
    assert least is not None
    assert power(least, found, 0.01) == pytest.approx(0.8, abs=0.001)
    more = detectable(found.at(10), 0.01, "difference")
    assert more is not None and more < least
    surer = detectable(found, 0.01, "difference", chance=0.9)
    assert surer is not None and surer > least
    assert detectable(Estimate(5, 0.0, 0.0, 4), 0.01, "ratio") is None


def test_power_is_what_simulation_finds() -> None:
    source, spread, effect = np.random.default_rng(11), 1.0, 2.5
    drawn = source.normal(effect, spread, (20_000, 5))
    t = drawn.mean(1) / (drawn.std(1, ddof=1) / math.sqrt(5))
    seen = float((t > 3.7469).mean())  # Student's t with 4 degrees of freedom leaves 1 % above
    assert power(effect, Estimate(5, 0.0, spread / math.sqrt(5), 4), 0.01) == pytest.approx(seen, abs=0.01)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Plan((2, 5), (0.5, 0.5)), "rise from 3"),
        (lambda: Plan((5, 3), (0.5, 0.5)), "rise from 3"),
        (lambda: Plan((3, 11), (0.5, 0.5)), "at most 10"),
        (lambda: Plan((3, 5), (0.5, 0.6)), "at most 1 in all"),
        (lambda: Plan((3,), (1.0,), alpha=0.7), "alpha"),
        (lambda: Claim("a", "f", "equal", 0.0), "least effect"),
        (lambda: Claim("a", "f", "lower", 0.1, reference=0.0), "positive number"),
        (lambda: pairs([1.0], [1.0, 2.0]), "same rounds"),
        (lambda: pairs([0.0], [1.0]), "positive"),
        (lambda: several([[]], [[1.0]]), "without a value"),
        (lambda: pairs([1.0, 1.0], [1.0, 1.0]).after(3), "2 to 2"),
        (lambda: Estimate(5, 0, 1, 4).at(1), "at least 2 rounds"),
        (
            lambda: judge({"a": (Claim("a", "f", "lower", 0.1), pairs([1], [1])),
                           "b": (Claim("b", "g", "lower", 0.1), pairs([1], [1]))}, Plan()),
            "as a whole",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()
