"""Broken systems around DAS, the Dynamic Accelerator Slicer."""

from __future__ import annotations

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

_SLICE = "nvidia.com/mig-1g.5gb"


@mutant("slices-for-all", "pods that ask for no slice are made to ask for one")
def _slices_for_all(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        for container in obj["spec"]["containers"]:
            if not dig(container, "resources", "limits", default={}):
                container["resources"] = {"limits": {_SLICE: "1"}}


@mutant("webhook-optional", "pods are created unchanged while the webhook that should change them is away")
def _webhook_optional(obj: Manifest) -> None:
    if obj["kind"] == "MutatingWebhookConfiguration":
        for one in obj["webhooks"]:
            one["failurePolicy"] = "Ignore"


@mutant("policy-always-ready", "the GPU Operator is said to be ready before it is")
def _policy_always_ready(obj: Manifest) -> None:
    if obj["kind"] == "ClusterPolicy":
        obj["status"] = {"state": "ready"}
