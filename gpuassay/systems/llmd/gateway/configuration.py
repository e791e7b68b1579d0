"""Envoy's configuration as data: a bootstrap, and a file of endpoints that is replaced while Envoy runs.

Three designs of the way from request to model server:

- `override-host`: the picker's choice goes by dynamic metadata to a load-balancing policy over the pool's members, and
  the served endpoint is reported back: what Istio and kgateway generate. A choice outside the pool falls back to round
  robin.
- `standalone`: the choice goes by request header to whatever address it names (ORIGINAL_DST), without any pool: Envoy
  beside the picker, as llm-d's standalone chart has it. Nothing can be retried elsewhere.
- `no-picker`: round robin over the members, nobody is asked: the base line.
- `istio`: nothing is fixed here; Istio's control plane says everything (`gpuassay.systems.llmd.gateway.istio`).

Source of field names: Envoy's v3 API; of the external-processing modes: Gateway API Inference Extension, EPP protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuassay.cluster.errors import ClusterError
from gpuassay.load.headers import DESTINATION, DESTINATION_SERVED
from gpuassay.systems.llmd.gateway import ads
from gpuassay.systems.llmd.gateway.parts import TYPE, address, grpc_cluster

DESIGNS = ("override-host", "standalone", "no-picker", "istio")
FAILURE_MODES = ("FailClose", "FailOpen")

NAMESPACE = "envoy.lb"
"""Metadata namespace of the picker's choice, and of what tells it who served."""
SUBSET_NAMESPACE = "envoy.lb.subset_hint"

POOL = "pool"
PICKER = "picker"

_ENDPOINTS_TYPE = f"{TYPE}.config.endpoint.v3.ClusterLoadAssignment"


@dataclass(frozen=True)
class Plan:
    """What an Envoy is to do.

    Attributes:
        listener: port for requests.
        admin: port of the admin interface.
        endpoints: file with the pool's members (`endpoints`), in a folder of its own.
        design: one of `DESIGNS`.
        picker: port of the external processor; not used without a picker.
        failure_mode: of the InferencePool: what happens to requests while the picker cannot be asked.
        body_mode: how bodies go to the picker; in no other mode than the default does llm-d's answer.
        node: who it is to the control plane; only of the design `istio`.
    """

    listener: int
    admin: int
    endpoints: Path
    design: str = "override-host"
    picker: int = 0
    failure_mode: str = "FailClose"
    body_mode: str = "FULL_DUPLEX_STREAMED"
    node: ads.Node | None = None

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ClusterError(f"no gateway design is called {self.design!r}; there are {', '.join(DESIGNS)}")
        if self.failure_mode not in FAILURE_MODES:
            raise ClusterError(f"failure mode {self.failure_mode!r} is none of {', '.join(FAILURE_MODES)}")


def endpoints(members: Sequence[str], version: int) -> dict[str, Any]:
    """A DiscoveryResponse with the pool's members (`address:port`), for the file that Envoy watches."""
    split = [member.rpartition(":") for member in members]
    hosts = [{"endpoint": {"address": address(host, int(port))}} for host, _, port in split]
    return {
        "version_info": str(version),
        "resources": [{"@type": _ENDPOINTS_TYPE, "cluster_name": POOL, "endpoints": [{"lb_endpoints": hosts}]}],
    }


def bootstrap(plan: Plan) -> dict[str, Any]:
    """The whole bootstrap, to be written as JSON."""
    if plan.node is not None:
        return ads.bootstrap(plan.node, plan.admin)
    clusters = [_standalone_cluster() if plan.design == "standalone" else _pool_cluster(plan)]
    if plan.design != "no-picker":
        clusters.append(_picker_cluster(plan))
    return {
        "node": {"id": "gpuassay", "cluster": "gpuassay"},
        "admin": {"address": address("127.0.0.1", plan.admin)},
        "static_resources": {"listeners": [_listener(plan)], "clusters": clusters},
    }


def _listener(plan: Plan) -> dict[str, Any]:
    route: dict[str, Any] = {
        "cluster": POOL,
        "timeout": "0s",  # a generation takes as long as it takes
    }
    if plan.design == "override-host":
        # nothing was sent yet in these cases, so another member may be asked without doing work twice
        route["retry_policy"] = {"retry_on": "connect-failure,reset-before-request", "num_retries": 2}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
    }
    manager: dict[str, Any] = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "stream_idle_timeout": "0s",
        "http_filters": [router] if plan.design == "no-picker" else [_external_processor(plan), router],
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
            ],
        },
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": "gateway",
        "address": address("127.0.0.1", plan.listener),
        "enable_reuse_port": False,  # else a second Envoy on a lost port would start and share its connections
        "filter_chains": [chain],
    }


def _external_processor(plan: Plan) -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "failure_mode_allow": plan.failure_mode == "FailOpen",
            "grpc_service": {"envoy_grpc": {"cluster_name": PICKER, "authority": "localhost"}, "timeout": "10s"},
            "processing_mode": {
                "request_header_mode": "SEND", "request_body_mode": plan.body_mode,
                "request_trailer_mode": "SEND", "response_header_mode": "SEND",
                "response_body_mode": plan.body_mode, "response_trailer_mode": "SEND",
            },
            "message_timeout": "1000s",
            # without these the picker gets no subset hint and no served endpoint, and its choice is not taken
            "metadata_options": {
                "forwarding_namespaces": {"untyped": [NAMESPACE, SUBSET_NAMESPACE]},
                "receiving_namespaces": {"untyped": [NAMESPACE]},
            },
        },
    }  # fmt: skip


def _round_robin() -> dict[str, Any]:
    name = "envoy.load_balancing_policies.round_robin"
    config = {"@type": f"{TYPE}.extensions.load_balancing_policies.round_robin.v3.RoundRobin"}
    return {"typed_extension_config": {"name": name, "typed_config": config}}


def _key(last: str) -> dict[str, Any]:
    return {"key": NAMESPACE, "path": [{"key": last}]}


def _pool_cluster(plan: Plan) -> dict[str, Any]:
    policy = _round_robin()
    if plan.design == "override-host":
        override: dict[str, Any] = {
            "@type": f"{TYPE}.extensions.load_balancing_policies.override_host.v3.OverrideHost",
            "override_host_sources": [{"metadata": _key(DESTINATION)}],
            "selected_host_key": _key(DESTINATION_SERVED),
            "fallback_policy": {"policies": [_round_robin()]},
        }
        name = "envoy.load_balancing_policies.override_host"
        policy = {"typed_extension_config": {"name": name, "typed_config": override}}
    return {
        "name": POOL,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "initial_fetch_timeout": "5s",
                "path_config_source": {
                    "path": str(plan.endpoints),
                    "watched_directory": {"path": str(plan.endpoints.parent)},
                },
            }
        },
        "load_balancing_policy": {"policies": [policy]},
    }


def _standalone_cluster() -> dict[str, Any]:
    return {
        "name": POOL,
        "type": "ORIGINAL_DST",
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": True, "http_header_name": DESTINATION},
    }


def _picker_cluster(plan: Plan) -> dict[str, Any]:
    cluster = grpc_cluster(PICKER, plan.picker)
    if plan.failure_mode == "FailOpen":
        # A request with a body only fails open once Envoy knows beforehand that the picker is gone: a refused
        # connection is noticed after the body was handed over. No panic: an unhealthy picker must count as none.
        cluster["health_checks"] = [
            {"timeout": "0.5s", "interval": "0.5s", "no_traffic_interval": "0.5s", "unhealthy_threshold": 1,
             "healthy_threshold": 1, "tcp_health_check": {}}
        ]  # fmt: skip
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    return cluster
