from __future__ import annotations

from typing import Any

import pytest

from gpuassay.cluster.errors import ApiRefused
from gpuassay.discovery.discover import discover
from gpuassay.discovery.facts import Limits
from gpuassay.manifest import Manifest
from tests.discovery.stub import Stub, named

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PODS = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]


def look(objects: dict[str, list[Manifest]] | None = None, **more: Any) -> Limits:
    return discover(Stub("v1.34.1", objects or {}, **more)).limits


def test_labels_that_a_namespace_gets_tell_its_pod_security() -> None:
    marks = {"pod-security.kubernetes.io/enforce": "restricted", "kubernetes.io/metadata.name": "x"}
    found = discover(Stub("v1.34.1", {}, trial=named("x", metadata={"labels": marks})))
    assert found.limits.pod_security == {"enforce": "restricted"} and found.limits.namespace == ""
    assert "level restricted" in found.warnings[0]


def test_a_namespace_that_a_policy_refuses_is_a_warning_in_its_words() -> None:
    said = 'admission webhook "validate.kyverno.svc-fail" denied the request:\n namespaces need a cost centre'
    found = discover(Stub("v1.34.1", {}, trial=ApiRefused(403, "Forbidden", said)))
    assert found.warnings == (f"namespaces of ours would be refused: {' '.join(said.split())}",)


def test_a_missing_right_to_make_namespaces_is_said_briefly() -> None:
    said = 'namespaces is forbidden: User "me" cannot create resource "namespaces" in API group "" at the cluster scope'
    assert look(trial=ApiRefused(403, "Forbidden", said)).namespace == "no right to create them"


@pytest.mark.parametrize(
    "refusal",
    [
        ApiRefused(400, "BadRequest", 'admission webhook "x" does not support dry run'),
        ApiRefused(500, "InternalError", 'failed calling webhook "x"'),
    ],
)
def test_a_trial_that_fails_says_nothing_of_the_namespace(refusal: ApiRefused) -> None:
    found = look(trial=refusal)
    assert found.namespace is None and found.pod_security is None


def test_quotas_and_limit_ranges_are_named() -> None:
    found = look({
        "/api/v1/resourcequotas": [named("gpus", "team-a")], "/api/v1/limitranges": [named("defaults", "team-a")],
    })  # fmt: skip
    assert found.quotas == ("team-a/gpus",) and found.limit_ranges == ("team-a/defaults",)


@pytest.mark.parametrize(("actions", "told"), [(["Deny"], True), (["Warn", "Audit"], False)])
def test_validating_admission_policies_count_where_a_binding_denies_pods(actions: list[str], told: bool) -> None:
    policy = named("no-root", spec={"matchConstraints": {"resourceRules": PODS}})
    other = named("secrets", spec={"matchConstraints": {"resourceRules": [{"resources": ["secrets"]}]}})
    bindings = [
        named(f"b-{name}", spec={"policyName": name, "validationActions": actions}) for name in ("no-root", "secrets")
    ]
    found = look({
        f"{ADMISSION}/validatingadmissionpolicies": [policy, other],
        f"{ADMISSION}/validatingadmissionpolicybindings": bindings,
    })  # fmt: skip
    assert found.policies == (("ValidatingAdmissionPolicy no-root",) if told else ())


def kyverno(name: str, whole: str, rule: str = "", kinds: list[str] | None = None) -> Manifest:
    validate: Manifest = {"message": "no", **({"failureAction": rule} if rule else {})}
    match = {"any": [{"resources": {"kinds": kinds or ["Pod"]}}]}
    rules = [{"name": "r", "match": match, "validate": validate}]
    return named(name, spec={"validationFailureAction": whole, "rules": rules})


def test_kyverno_policies_count_where_they_enforce_on_pods() -> None:
    policies = [
        kyverno("old", "enforce"), kyverno("new", "Audit", "Enforce", ["v1/Pod"]), kyverno("audit", "Audit"),
        kyverno("other", "Enforce", kinds=["Ingress"]),
    ]  # fmt: skip
    found = look({"/apis/kyverno.io/v1/clusterpolicies": policies}, groups={"kyverno.io": ["v1"]})
    assert found.policies == ("Kyverno ClusterPolicy old", "Kyverno ClusterPolicy new")


def test_gatekeepers_constraints_count_where_they_deny_pods() -> None:
    group = "constraints.gatekeeper.sh"
    root = f"/apis/{group}/v1beta1"
    kinds = {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}
    some = [
        named("by-default", spec={"match": kinds}), named("dry", spec={"match": kinds, "enforcementAction": "dryrun"}),
        named("services", spec={"match": {"kinds": [{"kinds": ["Service"]}]}}), named("all", spec={}),
    ]  # fmt: skip
    served: Manifest = {"resources": [{"name": "k8sallowedrepos"}, {"name": "k8sallowedrepos/status"}]}
    stub = Stub("v1.34.1", {root: served, f"{root}/k8sallowedrepos": some}, groups={group: ["v1beta1"]})
    told = ("Gatekeeper k8sallowedrepos by-default", "Gatekeeper k8sallowedrepos all")
    assert discover(stub).limits.policies == told
