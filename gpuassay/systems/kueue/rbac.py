"""Permissions that scenarios of Kueue use on somebody's cluster."""

from __future__ import annotations

from gpuassay.system import Rule

RULES = (
    Rule("apps", "deployments statefulsets", "create get list watch patch delete"),
    Rule("kueue.x-k8s.io", "workloads workloads/status localqueues", "create get list watch patch update delete"),
    Rule(
        "kueue.x-k8s.io",
        "clusterqueues cohorts resourceflavors workloadpriorityclasses admissionchecks admissionchecks/status "
        "topologies",
        "create get list watch patch update delete",
    ),
)
"""Besides those of every scenario (`gpuassay.session.plan`)."""
