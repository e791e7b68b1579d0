from __future__ import annotations

import pytest

from gpuassay.discovery.reading import Reading
from gpuassay.discovery.rights import Rights, rights
from gpuassay.engine.discovered import every_rule
from gpuassay.system import Rule
from tests.discovery.stub import REVIEWS, May, Stub

RULES = (
    Rule("", "pods", "create get"),
    Rule("", "pods pods/proxy", "get (only where pods are not reached)"),
    Rule("batch", "jobs cronjobs", "create list"),
    Rule("kueue.x-k8s.io", "workloads", "list"),
)


def look(may: May, served: str = "", refused: str = "") -> Rights:
    groups = {served: ["v1beta2"]} if served else None
    return rights(Reading(Stub("v1.34.1", {}, may=may, groups=groups, refused=[refused])), RULES)


def nothing(group: str, resource: str, verb: str) -> bool:
    del group, resource, verb
    return False


def test_who_may_everything_is_asked_once() -> None:
    stub = Stub("v1.34.1", {})
    assert rights(Reading(stub), RULES).missing == ()
    assert stub.asked.count(REVIEWS) == 1


def test_each_missing_right_is_told_once_with_its_condition() -> None:
    found = look(lambda group, resource, verb: verb == "create")
    assert found.missing == (
        "core: pods: get",
        "core: pods/proxy: get (only where pods are not reached)",
        "batch: cronjobs jobs: list",
    )


def test_rights_in_apis_that_are_not_served_are_not_asked() -> None:
    assert look(nothing).unserved == ("kueue.x-k8s.io",)
    served = look(nothing, served="kueue.x-k8s.io")
    assert "kueue.x-k8s.io: workloads: list" in (served.missing or ())


def test_rights_that_cannot_be_asked_are_unknown() -> None:
    assert look(nothing, refused=REVIEWS).missing is None


@pytest.mark.parametrize("rule", every_rule(), ids=str)
def test_every_rule_of_every_system_is_of_verbs_that_kubernetes_knows(rule: Rule) -> None:
    known = {"create", "get", "list", "watch", "patch", "update", "delete", "deletecollection"}
    assert set(rule.verbs.partition(" (")[0].split()) <= known
