"""An operator by the cluster's Operator Lifecycle Manager: asked for, started, removed. OLM is a stand-in here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Wish
from gpuassay.provision.install import Target, found, install
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.plan import informed
from gpuassay.provision.remove import remove
from gpuassay.systems.kueue.provision import KUEUE
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait
from tests.live import olm_standin as standin
from tests.live.playing import playing
from tests.live.proof import everything

HASTY = replace(KUEUE, seconds=30)


@pytest.fixture(scope="module")
def theirs(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    """A cluster with the definitions of OLM."""
    with embedded(directory=tmp_path_factory.mktemp("theirs"), nodes=1) as up:
        objects = Objects(up.api)
        for one in standin.OLM:
            objects.apply(Ref.of(one), one)
        wait(lambda: Objects(up.api).kinds, lambda kinds: (standin.V1, "OperatorGroup") in kinds,
             what="OLM's kinds to be served", timeout=30)  # fmt: skip
        yield up


def wish(cluster: Cluster, source: str) -> Wish:
    return informed(Wish(source), [KUEUE], Objects(cluster.api))


def site(cluster: Cluster, folder: Path) -> Target:
    return Target(cluster, "20261130-000000-01a0", folder, Assets(), print)


def test_an_operator_is_asked_for_started_and_removed(theirs: Cluster, tmp_path: Path) -> None:
    """Red when nothing comes of a Subscription, the operator's work is not begun, or something of it stays."""
    before, at = everything(theirs), site(theirs, tmp_path)
    with playing(lambda: standin.looked(theirs.api)):
        made = install(at, HASTY, wish(theirs, "olm:stable-v1.3"))
        assert (made.namespace, made.how) == (standin.PLACE, "OLM subscription kueue-operator")
        objects = Objects(theirs.api)
        started = objects.get(Ref("kueue.openshift.io/v1", "Kueue", "", "cluster"))
        assert dig(started, "spec", "config", "integrations", "frameworks") == ["BatchJob"]
        subscription = objects.get(Ref(standin.V1ALPHA1, "Subscription", standin.PLACE, standin.PACKAGE))
        assert dig(subscription, "spec", "channel") == "stable-v1.3"
        there = found(KUEUE, objects)
        assert there is not None and there.run == at.run
        done = remove(at, HASTY)
    assert done.differences == []
    assert any(standin.CSV in line for line in done.left_by_upstream), done.left_by_upstream
    assert everything(theirs) == before


UNHEALTHY: Manifest = {
    "conditions": [{"type": "ResolutionFailed", "status": "True", "message": "no operators found in channel nope"}]
}


FAILED: Manifest = {
    "phase": "Failed", "conditions": [{"type": "Installed", "status": "False", "message": "retry: no such right"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "refusal", "words"),
    [
        (UNHEALTHY, {}, "ResolutionFailed: no operators found in channel nope"),
        ({}, FAILED, "InstallPlan install-1 is Failed: retry: no such right"),
        ({}, {"phase": "RequiresApproval"}, "InstallPlan install-1 is RequiresApproval"),
    ],
)
def test_what_comes_to_nothing_is_told_in_olms_words(
    theirs: Cluster, tmp_path: Path, answers: Manifest, refusal: Manifest, words: str
) -> None:
    """Red when a Subscription of which nothing comes is waited for without a word, or stays."""
    before, at = everything(theirs), site(theirs, tmp_path)
    with playing(lambda: standin.looked(theirs.api, answers, refusal)):
        with pytest.raises(ClusterError, match=words):
            install(at, replace(HASTY, seconds=5), wish(theirs, "olm:nope"))
        assert remove(at, HASTY).differences == []
    assert everything(theirs) == before
