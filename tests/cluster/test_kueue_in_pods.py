"""Kueue in pods is configured anew, ended and started, and is afterwards what it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.engine.operating import Operation
from gpuassay.manifest import Manifest
from gpuassay.provision import changes
from gpuassay.provision.objects import Objects
from gpuassay.systems.kueue import operate as operating
from gpuassay.systems.kueue.component import pods
from gpuassay.systems.kueue.component.deployed import find
from gpuassay.systems.kueue.component.metrics import Sample
from gpuassay.systems.kueue.component.pod_metrics import scraper
from gpuassay.systems.kueue.component.pods import KueueInPods
from gpuassay.systems.kueue.component.profiles import PROFILES, profile
from gpuassay.waiting import WaitError
from tests.cluster.kueue_in_pods import FOUND, Standing, marked

RUN = "20260101-000000-aaaa"


def kueue(api: Standing, run: str = RUN) -> KueueInPods:
    deployed = find(Objects(cast("Any", api)))
    assert deployed is not None
    return KueueInPods(cast("Any", api), run, deployed, lambda _: None)


def no(*capabilities: str) -> bool:
    """It has no fake nodes."""
    del capabilities
    return False


def operator(api: Standing, *, consent: bool = False, run: str = RUN) -> Any:
    told: list[str] = []
    cluster = SimpleNamespace(api=api, has=no)
    return operating.operate(Operation(cast("Any", cluster), run, consent, logs=True, say=told.append))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "READY_SECONDS", 2.0)


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {"default"}))
def test_every_profile_is_laid_over_what_the_place_needs(name: str) -> None:
    """Red when a profile loses addresses, leader election or its own changes on the way to a pod."""
    api = Standing()
    there = kueue(api)
    there.reconfigure(profile(name))
    [text] = api.pods.values()
    has = yaml.safe_load(text)
    assert (has["webhook"], has["leaderElection"]["leaderElect"]) == ({"port": 9443}, True)
    assert has["metrics"] == {"bindAddress": ":8443", "enableClusterQueueResources": True}
    assert all(has[key] for key in profile(name).changes)
    there.undo(stays=True)
    assert list(api.pods.values()) == [FOUND]
    assert marked(api.stored) == []


def test_what_is_changed_is_noted_before_and_undone_from_elsewhere() -> None:
    """Red when a run that is killed leaves a configuration, or no pods, that nobody can bring back."""
    api = Standing()
    there = kueue(api)
    there.reconfigure(profile("retention"))
    there.kill()
    assert (api.replicas, api.pods) == (0, {})
    [noted] = changes.read_all(cast("Any", api))
    assert (noted.component, noted.run) == ("kueue", RUN)
    changes.undo(Objects(cast("Any", api)), noted)
    api.list("Pod")
    assert (api.text, api.replicas, list(api.pods.values())) == (FOUND, 1, [FOUND])
    assert marked(api.stored) == []


def test_it_stays_down_until_it_is_started() -> None:
    """Red when its Deployment makes a pod again while a scenario looks at what happens without one."""
    api = Standing()
    there = kueue(api)
    api.list("Pod")
    there.kill()
    assert api.list("Pod") == []
    there.start()
    assert len(api.pods) == 1


def test_a_configuration_that_kueue_refuses_is_told_in_its_words() -> None:
    """Red when a crash is waited for until the time is up."""
    there = kueue(Standing(refuses="objectRetentionPolicies"))
    with pytest.raises(WaitError, match=r"refuses to start .exit code 1.: Unable to load the configuration: unknown"):
        there.reconfigure(profile("retention"))


def test_a_pod_with_the_configuration_before_is_no_profile() -> None:
    """Red when scenarios of a profile are judged on a manager that never read it."""
    there = kueue(Standing(deaf=True))
    with pytest.raises(ClusterError, match=r"older configuration.*objectRetentionPolicies"):
        there.reconfigure(profile("retention"))


def test_another_run_that_changes_it_is_named() -> None:
    """Red when two runs change one Kueue, and the second takes the first one's changes for what was found."""
    api = Standing()
    kueue(api).reconfigure(profile("retention"))
    with pytest.raises(ClusterError, match=f"kueue is changed by run {RUN}.*gpuassay remove {RUN}"):
        kueue(api, "20260101-000000-bbbb").reconfigure(profile("dra"))
    with operator(api, consent=True, run="20260101-000000-bbbb") as second:
        assert "kueue-process" not in second.capabilities
        assert RUN in (second.set_profile("dra") or "")


def test_somebodys_kueue_is_left_alone_without_consent() -> None:
    """Red when it is restarted or configured anew because a scenario wants that."""
    api = Standing()
    api.list("Pod")
    with operator(api) as one:
        assert one.capabilities == {"gate:PartialAdmission", "scheduler-log"}
        assert "--allow-cluster-mutation" in (one.set_profile("dra") or "")
        assert one.set_profile("default") is None
    assert api.text == FOUND and marked(api.stored) == []


def test_without_the_right_to_read_metrics_that_is_told_and_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a missing right breaks the run, or an account of ours stays behind."""
    api, told = Standing(), list[str]()

    def create(one: Manifest) -> Manifest:
        if one["kind"] == "ClusterRole":
            raise ApiRefused(403, "Forbidden", "clusterroles is forbidden")
        return Standing.create(api, one)

    monkeypatch.setattr(api, "create", create)
    with scraper(cast("Any", api), RUN, told.append) as scrape:
        assert scrape is None
    assert told == [
        "Kueue's metrics cannot be read (403 Forbidden: clusterroles is forbidden): what only they tell is not judged"
    ]
    assert marked(api.stored) == []


def test_metrics_are_read_from_the_pod_that_leads_at_its_own_port() -> None:
    """Red when another replica is asked, whose counters stand still."""
    api, asked = Standing(), list[tuple[str, str, int]]()

    def scrape(namespace: str, pod: str, port: int) -> list[Sample]:
        asked.append((namespace, pod, port))
        return []

    api.stored["Deployment", "kueue-controller-manager"]["spec"]["replicas"] = 2
    api.list("Pod")
    there = kueue(api)
    there.scrape = scrape
    there.metrics()
    assert asked == [("kueue-system", "kueue-0", 8443)]


def test_lent_it_changes_only_while_nobody_else_has_work_in_it() -> None:
    """Red when a profile is imposed on workloads of others, or on what was found where `default` is asked for."""
    api = Standing()
    api.list("Pod")
    api.stored["Namespace", "mine"] = {"metadata": {"name": "mine", "labels": {labels.RUN: RUN}}}
    api.workloads = [{"metadata": {"name": "w", "namespace": place}} for place in ("mine",)]
    with operator(api, consent=True) as one:
        assert "kueue-process" in one.capabilities
        assert one.set_profile("dra") is None
        assert "resources" in yaml.safe_load(api.text)
        assert one.set_profile("default") is None
        assert api.text == FOUND
        assert one.set_profile("transformations") is None
        api.workloads.append({"metadata": {"name": "job-x", "namespace": "theirs"}})
        assert "Workload theirs/job-x" in (one.set_profile("retention") or "")
        assert api.text == FOUND
    assert api.text == FOUND and marked(api.stored) == ["mine"]
