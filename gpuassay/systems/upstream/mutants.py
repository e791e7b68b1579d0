"""Broken systems for upstream's conformance tests: pickers that pick anybody, gateways that ask or answer nobody."""

from __future__ import annotations

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"


@mutant("picks-at-random", "endpoint pickers pick at random, whatever the request says of the endpoints it may go to")
def _picks_at_random(obj: Manifest) -> None:
    if obj["kind"] == "EndpointPickerConfig":
        for profile in obj["schedulingProfiles"]:
            profile["plugins"] = [one for one in profile["plugins"] if "filter" not in one["pluginRef"]]


@mutant("gateway-unlabelled", "gateways' Pods lack Istio's label: all conditions are good, and no picker is asked")
def _gateway_unlabelled(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        dig(obj, "metadata", "labels", default={}).pop(GATEWAY_LABEL, None)


@mutant("gateway-wrong-port", "gateways listen on another port than their Gateways say; all conditions are good")
def _gateway_wrong_port(obj: Manifest) -> None:
    if obj["kind"] == "Service":
        for port in obj["spec"]["ports"]:
            port["targetPort"] = int(port["targetPort"]) + 1
