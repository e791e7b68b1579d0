"""Permissions that scenarios of Kueue use on somebody's cluster."""

from __future__ import annotations

from gpuassay.system import Rule

_CHANGED = "(for profiles and restarts of Kueue)"
_METRICS = "(for Kueue's metrics)"
_COUNTERS = "(for GPUs that are published as counters, with --allow-cluster-mutation)"
_HOSTILE = "(for objects that walk through every field, on request)"
_LENT = "(for topology-aware scheduling, with --allow-cluster-mutation)"

RULES = (
    Rule("", "limitranges", "create get list watch patch delete"),
    Rule("scheduling.k8s.io", "priorityclasses", "create get list watch delete"),
    Rule("jobset.x-k8s.io", "jobsets", "create get list watch patch delete"),
    Rule("leaderworkerset.x-k8s.io", "leaderworkersets", "create get list watch patch delete"),
    Rule(
        "resource.k8s.io", "deviceclasses resourceclaims resourceclaimtemplates", "create get list watch patch delete"
    ),
    Rule("resource.k8s.io", "resourceslices", f"create get list watch delete {_COUNTERS}"),
    Rule("", "pods/log", "get (of Kueue's pods; without it the order of its decisions is not judged)"),
    Rule("", "configmaps", f"create get list patch delete {_CHANGED}"),
    Rule("coordination.k8s.io", "leases", f"get {_CHANGED}"),
    Rule("", "pods/portforward", f"create get {_METRICS}"),
    Rule("", "serviceaccounts", f"create delete {_METRICS}"),
    Rule("", "serviceaccounts/token", f"create {_METRICS}"),
    Rule("rbac.authorization.k8s.io", "clusterroles clusterrolebindings", f"create delete {_METRICS}"),
    Rule("", "/metrics", f"get {_METRICS}"),
    Rule("", "nodes nodes/status", f"patch {_LENT}"),
    Rule("apps", "deployments statefulsets", "create get list watch patch delete"),
    Rule("kueue.x-k8s.io", "workloads workloads/status localqueues", "create get list watch patch update delete"),
    Rule("kueue.x-k8s.io", "workloads", "deletecollection"),
    Rule("apiextensions.k8s.io", "customresourcedefinitions", f"list {_HOSTILE}"),
    Rule(
        "kueue.x-k8s.io",
        "clusterqueues cohorts resourceflavors workloadpriorityclasses admissionchecks admissionchecks/status "
        "topologies",
        "create get list watch patch update delete",
    ),
)
"""Besides those of every scenario (`gpuassay.session.plan`)."""
