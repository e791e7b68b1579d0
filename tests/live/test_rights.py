"""Under the rights that `gpuassay role` prints a sample holds; without one of them that is told. Root only.

All rights in turn: `python -m tests.live.rights_loop`.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.manifest import Manifest
from gpuassay.session.declared import everything
from gpuassay.verdict import State
from tests.cluster.conftest import need_whole_cluster
from tests.live.rights_loop import SAMPLES, cluster_for, printed_role, rights_of, run_as

SAMPLE = SAMPLES["kueue"]
SEED = 1
USED = ("workloads", "clusterqueues", "localqueues", "jobs", "namespaces", "serviceaccounts")
"""Resources that every scenario of the sample touches."""
NAMED = ("create namespaces", "watch workloads.kueue.x-k8s.io", "list clusterqueues.kueue.x-k8s.io")


@dataclass(frozen=True)
class Yours:
    """A cluster with somebody's Kueue, what is judged there, and the role."""

    cluster: Cluster
    tests: list[str]
    rules: list[Manifest]


@pytest.fixture(scope="module")
def yours() -> Generator[Yours]:
    """As its administrator has set it up."""
    need_whole_cluster("helm", "kueue")
    with cluster_for(SAMPLE) as up:
        yield Yours(up, SAMPLE.drawn(everything(), SEED)[:3], printed_role(SAMPLE.systems))


def test_the_printed_role_suffices_for_a_run(yours: Yours) -> None:
    """Red when a right that a run takes is not printed."""
    row = run_as(yours.cluster, SAMPLE, yours.tests, yours.rules, None)
    assert not row.problem, row
    assert set(row.states.values()) == {State.PASS} and len(row.states) == len(yours.tests) and not row.left


@pytest.mark.parametrize("right", NAMED)
def test_a_right_that_is_taken_away_is_named(yours: Yours, right: str) -> None:
    """Red when a sound system is refuted for want of a right, passes, hangs, or verb and resource are not named."""
    [taken] = [one for one in rights_of(yours.rules) if str(one) == right]
    row = run_as(yours.cluster, SAMPLE, yours.tests, yours.rules, taken)
    assert not row.problem and row.named and not row.green, row


def test_a_drawn_right_is_told(yours: Yours) -> None:
    """Red when one of those that most scenarios use is not told."""
    able = [one for one in rights_of(yours.rules) if one.resource in USED and str(one) not in NAMED]
    row = run_as(yours.cluster, SAMPLE, yours.tests, yours.rules, random.Random(SEED).choice(able))
    assert not row.problem, row
