"""A live run is judged by the model of its own requests."""

from __future__ import annotations

import pytest

from gpuassay.judge.routing_expected import expected_of, pass_findings, traffic_of
from gpuassay.model.prefix_cache import simulator_cache
from gpuassay.model.routing import LatencyLaw, Platform, distinct_traffic, simulate
from gpuassay.model.routing_policies import APPROXIMATE, PRECISE, RANDOM, Policy
from gpuassay.workloads.prompts import paper_prompts, shuffled_order
from tests.judge.routes import failed, row, rows_of

LAW = LatencyLaw(0.060, 0.00092, 0.010, output_tokens=16, max_num_seqs=32, time_factor_under_load=2.0)
PLATFORM = Platform(8, simulator_cache(896, 16), LAW)
LENGTHS = [prompt.tokens for prompt in paper_prompts(1, 0.1)]
TRAFFIC = distinct_traffic(LENGTHS, [shuffled_order(32, 8, 1), shuffled_order(32, 8, 2)], 16)


def live(policy: Policy, seed: int) -> list[list[dict[str, object]]]:
    """Cold and warm rows of a run of the model, with seeds that no expectation uses."""
    return [rows_of(one) for one in simulate(TRAFFIC, PLATFORM, policy, concurrency=8, seed=10_000_000 + seed)]


@pytest.mark.parametrize("policy", [RANDOM, PRECISE, APPROXIMATE], ids=lambda policy: policy.kind)
def test_a_run_of_the_policy_is_as_expected(policy: Policy) -> None:
    """Red when a healthy run is accused."""
    found = live(policy, 1)
    foreseen = expected_of(found, PLATFORM, policy, concurrency=8, runs=80 if policy is RANDOM else 3)
    assert pass_findings(found, foreseen) == []


@pytest.mark.parametrize(("claimed", "real"), [(PRECISE, RANDOM), (RANDOM, PRECISE)], ids=lambda one: one.kind)
def test_a_run_of_another_policy_is_not(claimed: Policy, real: Policy) -> None:
    """Red when a random picker under the precise name passes by its hit rate, or the other way round."""
    found = live(real, 2)
    foreseen = expected_of(found, PLATFORM, claimed, concurrency=8, runs=20)
    findings = pass_findings(found, foreseen, slack=0.02, names=("cold", "warm"))
    assert [finding.split(":")[0] for finding in findings] == ["hit rate of cold", "hit rate of warm"]


def test_traffic_is_what_was_asked() -> None:
    """Red when order, lengths or a failed request of a run are lost on the way to the model."""
    rows = [row(2, "b", prompt_tokens=40), row(0, "a", prompt_tokens=33), failed(1, "b")]
    found = traffic_of([rows, [row(0, "a", prompt_tokens=33)]], 16)
    assert found.lengths == (33, 40)
    assert found.passes == ((0, 1, 1), (0,))
    assert found.chains == ((0, 1), (2, 3))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "passes must ask for some"),
        ([failed(0, "a")], "how many tokens these prompts have: a"),
        (
            [row(0, "a", prompt_tokens=5), row(1, "a", prompt_tokens=6)],
            "a: 5 prompt tokens in one answer, 6 in another",
        ),
    ],
)
def test_rows_that_tell_no_traffic_are_refused(rows: list[dict[str, object]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        traffic_of([rows], 16)
