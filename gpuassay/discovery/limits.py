"""What may keep our pods out: Pod Security, quotas, admission policies. As far as it can be seen without making any.

A namespace is made on trial (`dryRun=All`, which the API server never stores): that tells whether it may be made, and
which labels for Pod Security mutating webhooks give it. The API server's own default level is told by no API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.discovery.distribution import OPENSHIFT
from gpuassay.discovery.facts import Limits
from gpuassay.discovery.reading import Reading
from gpuassay.manifest import Manifest, dig

POD_SECURITY = "pod-security.kubernetes.io/"
OURS = frozenset({"pods", "jobs", "*"})
"""Resources that scenarios make and policies may deny."""
OUR_KINDS = frozenset({"Pod", "Job", "*"})
DRY_RUN = {"dryRun": "All"}
_TRIAL: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "gpuassay-trial-"}}
GATEKEEPER, KYVERNO, ADMISSION = "constraints.gatekeeper.sh", "kyverno.io", "admissionregistration.k8s.io"


def limits(reading: Reading) -> Limits:
    """All of it; what cannot be read is None."""
    refusal, marks = _namespace(reading)
    openshift = reading.serves(OPENSHIFT)
    scc = _names(reading.all("security.openshift.io", "securitycontextconstraints")) if openshift else ()
    return Limits(
        namespace=refusal,
        pod_security=marks,
        scc=scc,
        quotas=_quotas(reading),
        limit_ranges=_names(reading.all("", "limitranges")),
        policies=_policies(reading),
    )


def _namespace(reading: Reading) -> tuple[str | None, dict[str, str] | None]:
    """Why a namespace may not be made, and what labels it gets."""
    try:
        made: Manifest = json.loads(reading.api.request("post", "/api/v1/namespaces", _TRIAL, query=DRY_RUN))
    except ApiRefused as refused:
        if "dry run" in refused.message or refused.status >= 500:  # says nothing about a namespace in earnest
            reading.unreadable["a namespace on trial"] = " ".join(refused.message.split())[:200]
            return None, None
        lacks = refused.status == 403 and 'cannot create resource "namespaces"' in refused.message
        return "no right to create them" if lacks else " ".join(refused.message.split())[:300], None
    except ClusterError as error:
        reading.unreadable["a namespace on trial"] = " ".join(str(error).split())[:200]
        return None, None
    labels: dict[str, str] = dig(made, "metadata", "labels", default={})
    return "", {key.removeprefix(POD_SECURITY): labels[key] for key in sorted(labels) if key.startswith(POD_SECURITY)}


def _names(found: Sequence[Manifest] | None) -> tuple[str, ...] | None:
    return None if found is None else tuple(sorted(_name(one["metadata"]) for one in found))


def _name(meta: Manifest) -> str:
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _quotas(reading: Reading) -> tuple[str, ...] | None:
    mine = _names(reading.all("", "resourcequotas"))
    wide = _names(reading.all("quota.openshift.io", "clusterresourcequotas"))
    return None if mine is None or wide is None else (*(f"ClusterResourceQuota {one}" for one in wide), *mine)


def _policies(reading: Reading) -> tuple[str, ...] | None:
    """Policies that deny pods or Jobs: of Kubernetes itself, Kyverno and Gatekeeper."""
    some = [_validating(reading), _kyverno(reading), _gatekeeper(reading)]
    found = tuple(name for one in some for name in one or ())
    return None if not found and None in some else found


def _validating(reading: Reading) -> list[str] | None:
    """ValidatingAdmissionPolicies with a binding that denies."""
    policies = reading.all(ADMISSION, "validatingadmissionpolicies")
    bindings = reading.all(ADMISSION, "validatingadmissionpolicybindings")
    if policies is None or bindings is None:
        return None
    deny = [one for one in bindings if "Deny" in dig(one, "spec", "validationActions", default=[])]
    denying = {dig(one, "spec", "policyName") for one in deny}
    return [
        f"ValidatingAdmissionPolicy {one['metadata']['name']}"
        for one in policies
        if one["metadata"]["name"] in denying
        and any(OURS & set(rule.get("resources", ())) for rule in dig(one, "spec", "matchConstraints", "resourceRules",
                                                                       default=[]))
    ]  # fmt: skip


def _kyverno(reading: Reading) -> list[str] | None:
    """Cluster policies that enforce: `validationFailureAction`, or `failureAction` of a rule since Kyverno 1.13."""
    policies = reading.all(KYVERNO, "clusterpolicies")
    if policies is None:
        return None
    return [f"Kyverno ClusterPolicy {one['metadata']['name']}" for one in policies if _enforces(one)]


def _enforces(policy: Manifest) -> bool:
    whole = str(dig(policy, "spec", "validationFailureAction", default="Audit")).lower()
    for rule in dig(policy, "spec", "rules", default=[]):
        if "validate" not in rule:
            continue
        action = str(dig(rule, "validate", "failureAction", default=whole)).lower()
        match: Manifest = rule.get("match") or {}
        filters: list[Manifest] = [match, *dig(match, "any", default=[]), *dig(match, "all", default=[])]
        kinds = {str(kind).split("/")[-1] for one in filters for kind in dig(one, "resources", "kinds", default=[])}
        if action == "enforce" and OUR_KINDS & kinds:
            return True
    return False


def _gatekeeper(reading: Reading) -> list[str] | None:
    """Constraints that deny, which is their default action."""
    if reading.serves(GATEKEEPER) is False:
        return []
    kinds = reading.kinds(GATEKEEPER)
    if kinds is None:
        return None
    found: list[str] = []
    for plural in kinds:
        some = reading.all(GATEKEEPER, plural)
        if some is None:
            return None
        found += [f"Gatekeeper {plural} {one['metadata']['name']}" for one in some if _denies(one)]
    return found


def _denies(constraint: Manifest) -> bool:
    if dig(constraint, "spec", "enforcementAction", default="deny") != "deny":
        return False
    matched: list[Manifest] = dig(constraint, "spec", "match", "kinds", default=[])
    return not matched or any(OUR_KINDS & _words(one.get("kinds")) for one in matched)


def _words(some: Iterable[object] | None) -> set[str]:
    return {str(one) for one in some or ()}
