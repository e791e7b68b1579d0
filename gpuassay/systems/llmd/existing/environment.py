"""The environment of somebody's gateway: requests through its URL, reads of the cluster's API, and not one write."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpuassay.access.kubeconfig import given
from gpuassay.cluster.base import Cluster, Component
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect
from gpuassay.engine.environment import Environment, Host, described
from gpuassay.engine.pools import ClusterPool
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import options
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from gpuassay.scenarios.declare import Scenario
from gpuassay.scenarios.lab import Lab
from gpuassay.settings import Settings
from gpuassay.system import Open
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.existing.epp import speaks_tls
from gpuassay.systems.llmd.existing.gateway import ExistingGateway, Place, require_answers
from gpuassay.systems.llmd.existing.options import GatewayOptions
from gpuassay.systems.llmd.existing.preflight import check_gateway
from gpuassay.systems.llmd.existing.replica import Access
from gpuassay.toolchain import Assets

EPP_TARGET = "epp-target"
"""Capability: somebody's endpoint picker may be asked directly."""

FEWEST = 2
"""Endpoints below which there is nothing to choose between."""


@dataclass
class GatewayEnvironment(Environment):
    """An environment on which nothing is created, so that nothing has to be removed."""

    gateway: ExistingGateway = field(kw_only=True)

    def lab(self, scenario: Scenario, token: str, *, full: bool, progress: Callable[[str], None]) -> Lab:
        """A lab that knows the gateway."""
        made = super().lab(scenario, token, full=full, progress=progress)
        if isinstance(made, RoutingLab):
            made.gateway = self.gateway
        return made

    def prepare(self, lab: Lab) -> None:
        """Let the view know of the scenario; no namespace is made."""
        self.view.register(lab.token)

    def clear(self, lab: Lab, swept: Iterable[tuple[str, str]] = ()) -> None:
        """Nothing was created."""
        self.view.forget(lab.token)


def gateway_environment(settings: Settings, named: GatewayOptions) -> Open:
    """How to open the environment at the gateway that the command line names; tries everything once.

    Raises:
        ClusterError: no kubeconfig given, or gateway, pool or model servers cannot be used; one line says why.
    """
    kubeconfig = given(settings.kubeconfig)
    if kubeconfig is None:
        raise ClusterError(
            "--gateway-url and --epp-target need --gpuassay-kubeconfig FILE, or KUBECONFIG in the environment: model "
            "servers are found by the API"
        )
    if changed := [one.name for one in options.asked(settings) if one.mode not in (options.USE, options.NEVER)]:
        raise ClusterError(f"--{changed[0]} changes the cluster, a run at --gateway-url changes nothing: choose one")
    asked = Place(
        named.url, named.model, named.namespace, named.pool, named.selector, named.verify_tls, named.headers,
        certificate=named.certificate, others=named.models[1:], headers_file=named.headers_file,
        access=Access(named.endpoint_tls, named.endpoint_token, named.metrics), epp_target=named.epp_target,
    )  # fmt: skip
    api, context = connect(kubeconfig, settings.context)
    try:
        found = ExistingGateway(api, asked, Path(), named.profile)
        if len(found.replicas) < FEWEST:
            raise ClusterError(f"{named.pool} has one ready endpoint: there is nothing to route between; scale it up")
        if named.epp_target:
            speaks_tls(named.epp_target)
        place = asked
        if named.url:
            require_answers(found.replicas)
            place = replace(asked, way=check_gateway(asked, named.api))
    finally:
        api.close()

    @contextmanager
    def environment(run: Host, pool: ClusterPool, assets: Assets) -> Generator[Environment]:
        del assets  # nothing of ours is started
        with ExitStack() as stack:
            run.say(f"using {named.named} and reading the cluster of {kubeconfig}")
            folder = run.directory / pool.name
            folder.mkdir(parents=True)
            reached, _ = connect(kubeconfig, context)
            stack.callback(reached.close)
            cluster = Cluster(
                name=context, provider="existing", kubeconfig=kubeconfig, context=context, api=reached,
                directory=folder, capabilities=frozenset({"routing"} | ({EPP_TARGET} if named.epp_target else set())),
            )  # fmt: skip
            resources = (
                Resource("Pod", f"/api/v1/namespaces/{named.namespace}/pods"),
                Resource(
                    "InferencePool",
                    f"/apis/inference.networking.k8s.io/v1/namespaces/{named.namespace}/inferencepools",
                ),
            )
            view = stack.enter_context(
                live_recorder(kubeconfig, folder / "spool", resources=resources, context=context)
            )
            gateway = ExistingGateway(reached, place, folder, named.profile)
            cluster.tell(_images(gateway.pods))
            asked_by = f", asked by {place.way.path}" if named.url else ""
            description = (
                f"{named.named}{asked_by}, InferencePool {named.namespace}/{named.pool} with"
                f" {len(gateway.replicas)} endpoints, on {cluster.description}"
            )
            stack.enter_context(described(run, cluster, "existing", description, cluster.capabilities))
            yield GatewayEnvironment(
                run_id=run.directory.name, cluster=cluster, view=view, capabilities=cluster.capabilities,
                mutant=None, ours=False, gateway=gateway,
            )  # fmt: skip

    return environment


def _images(pods: list[Manifest]) -> list[Component]:
    """The images of the model servers' containers."""
    images = sorted({str(one["image"]) for pod in pods for one in dig(pod, "spec", "containers", default=[])})
    found: list[Component] = []
    for image in images:
        name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "")
        found.append(Component(name.rpartition("/")[2], tag or "unknown", "found on the cluster"))
    return found
