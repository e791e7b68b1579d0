"""Acts out upstream's conformance tests of the Gateway API Inference Extension on a real node, with Istio in pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.notes import Note
from gpuassay.record.upstream import RESULTS
from gpuassay.systems.slices.acts import real_node as slices

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

NEEDS = frozenset({"program:istio", "program:gaie-conformance"})
"""Capabilities that the scenario needs beyond a real node."""

REPORT = Note("report", Manifest, "the conformance report as upstream's program wrote it", default=None)
EXIT_CODE = Note("exit_code", int, "of upstream's program; none where it was ended for being too slow", default=None)

STAND_SECONDS = 60.0
"""For a pod of ours to be ready; an idle machine needs two or three."""


def conform(lab: Lab) -> None:
    """Put up Istio and two gateways, have upstream's tests run against them, note what they told.

    Raises:
        ClusterError: a part cannot be put up.
        gpuassay.waiting.WaitTimeout: a pod of ours is not ready in time.
    """
    from gpuassay.systems.upstream.component import crds, images, program

    parts = images.Parts.get(lab.cluster.assets)
    lab.cluster.tell(parts.components(), images.EMULATED)
    lab.progress("images and CRDs")
    node = slices.node_of(lab)
    for image in images.write(lab.cluster, node, parts, _configuration(lab)):
        node.import_image(image)
    crds.install(lab.cluster)
    _put_up(lab)
    lab.progress("upstream's tests begin")
    lab.mark("tests begin")
    told = program.run(lab.cluster, parts)
    lab.mark("tests end")
    lab.note(RESULTS, told.results)
    lab.note(REPORT, yaml.safe_load(told.report))
    lab.note(EXIT_CODE, told.exit_code)


def _configuration(lab: Lab) -> Manifest:
    """Of the endpoint pickers (through the mutant, when there is one)."""
    from gpuassay.systems.upstream.component.images import CONFIGURATION

    wanted: Manifest = yaml.safe_load(CONFIGURATION.read_text())
    return lab.mutant.change(wanted) if lab.mutant else wanted


def _put_up(lab: Lab) -> None:
    from gpuassay.systems.upstream.component import objects

    lab.view.register(lab.token, objects.NAMESPACES)
    lab.namespaces += objects.NAMESPACES
    for name in objects.NAMESPACES:
        lab.create(objects.namespace(name))
    lab.create(objects.all_rights(lab.unique("istiod"), lab.namespace))
    for manifest in objects.picker_rights():
        lab.create(manifest)
    lab.create(objects.istiod(lab.namespace))
    control_plane = _address(lab, "istiod", lab.namespace)
    for name in objects.GATEWAYS:
        lab.create(objects.gateway(name, control_plane))
        front = lab.create(objects.front(name))["metadata"]["name"]
        status = objects.address(_address(lab, name, objects.INFRASTRUCTURE))
        lab.api.patch("Service", front, status, objects.INFRASTRUCTURE, subresource="status")


def _address(lab: Lab, name: str, namespace: str) -> str:
    """The address of a pod of ours, once it is ready."""

    def ready() -> bool:
        return is_true(lab.get("Pod", name, namespace=namespace) or {}, "Ready")

    lab.until(ready, f"{name} is ready", timeout=STAND_SECONDS)
    return str(dig(lab.get("Pod", name, namespace=namespace) or {}, "status", "podIP"))
