"""What is put around upstream's conformance tests, without a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.shared_libraries import shared_libraries
from gpuassay.systems.llmd.gateway.istio_objects import GATEWAY_LABEL
from gpuassay.systems.upstream.component import images, objects


def test_every_image_that_the_manifests_ask_for_is_found_once(tmp_path: Path) -> None:
    """Red when a pod of upstream's would wait for an image that nobody has made."""
    base = tmp_path / "base.yaml"
    pods = [{"spec": {"template": {"spec": {"containers": [{"image": one}]}}}} for one in ("b:2", "a:1", "b:2")]
    base.write_text(yaml.safe_dump_all([{"kind": "Namespace"}, *pods, None]))
    assert images.asked(base) == ["a:1", "b:2"]


def test_the_libraries_of_a_program_are_files_of_this_machine() -> None:
    """Red when an image would lack the loader or the C library."""
    found = shared_libraries(Path(sys.executable).resolve())
    assert all(one.is_file() for one in found)
    assert any(one.name.startswith("ld-") for one in found) and any(one.name.startswith("libc.") for one in found)


def test_what_is_no_program_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    with pytest.raises(ClusterError, match="text cannot be run here"):
        shared_libraries(text)


def test_a_gateways_service_finds_it_without_istios_label() -> None:
    """Red when a gateway that Istio does not know is not reached either: the mutant would break the scenario."""
    pod, service = objects.gateway("primary", "192.0.2.7"), objects.front("primary")
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert GATEWAY_LABEL not in service["spec"]["selector"] and pod["metadata"]["labels"][GATEWAY_LABEL] == "primary"


def test_a_gateway_asks_the_control_plane_and_says_who_it_is() -> None:
    """Red when Istio would take the Envoy for another Pod than its own."""
    [container] = objects.gateway("primary", "192.0.2.7")["spec"]["containers"]
    bootstrap = json.loads(container["args"][container["args"].index("--config-yaml") + 1])
    assert bootstrap["node"]["id"].startswith(f"router~$(POD_IP)~primary.{objects.INFRASTRUCTURE}~")
    assert '"192.0.2.7"' in json.dumps(bootstrap["static_resources"])
    assert container["env"][0]["name"] == "POD_IP"
