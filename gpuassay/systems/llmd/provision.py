"""llm-d routing on somebody's cluster: an endpoint picker behind an Envoy, and simulated model servers in its pool.

Picker, Envoy and InferencePool come by upstream's chart `standalone`, unmodified, with llm-d's picker as its image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from gpuassay import toolchain
from gpuassay.capabilities import DENIED
from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Content, Installation, Provided, Renamed, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.system import OWN_ARMS
from gpuassay.systems.llmd import provision_route
from gpuassay.systems.llmd.component import crds, profiles
from gpuassay.systems.llmd.component.images import PICKER
from gpuassay.systems.llmd.component.served import APP, NAME, PORT, deployment, model_of, read
from gpuassay.systems.llmd.versions import NAMES, POOL_GROUP, X_GROUP
from gpuassay.toolchain import Assets, catalogue

NAMESPACE = "llm-d-routing"
PROGRAMS = ("program:llmd-epp", "program:llmd-sim", "program:gaie-epp", "program:pd-sidecar")
"""What arms as pods are made of, as capabilities: their images are pulled."""
RELEASE = "llmd"
SERVICE = f"{RELEASE}-epp"
"""The chart's name for the picker's Deployment and Service; the gateway is a port of that Service."""
GATEWAY_PORT = 8081
_ISSUE = "https://github.com/llm-d/llm-d-router/issues/1449"
_POOLS = "https://gateway-api-inference-extension.sigs.k8s.io/guides/ga-migration/"
_NEWER = "llm-d's endpoint picker from 0.10 on"

RENAMED = (
    Renamed("inferenceobjectives", NAMES["0.7"].group, NAMES["0.10"].group, _NEWER, _ISSUE),
    Renamed("inferencemodelrewrites", NAMES["0.7"].group, NAMES["0.10"].group, _NEWER, _ISSUE),
    Renamed("inferencepools", X_GROUP, POOL_GROUP, "a gateway that knows InferencePool v1", _POOLS),
)
"""Kinds of routing that a cluster may have twice after an upgrade."""

POOL_GROUPS = (POOL_GROUP, X_GROUP)
FILE = "gpuassay.yaml"
"""The picker's configuration beside the chart's own, in the chart's ConfigMap."""


def detect(objects: Objects) -> Installation | None:
    """An InferencePool and an endpoint picker, by the name of its image; definitions alone are no installation."""
    if not _pools(objects):
        return None
    for one in _pickers(objects):
        meta = one["metadata"]
        marks: dict[str, str] = meta.get("labels") or {}
        notes: dict[str, str] = meta.get("annotations") or {}
        tag = next(tag for repository, tag in _images(one) if _is_picker(repository))
        release = notes.get("meta.helm.sh/release-name")
        version = tag or marks.get("app.kubernetes.io/version", "unknown")
        return Installation(version, meta["namespace"], f"Helm release {release}" if release else "manifests")
    return None


def _pools(objects: Objects) -> list[Manifest]:
    kinds = [
        one for one in objects.kinds.values()
        if one.name == "InferencePool" and one.version.partition("/")[0] in POOL_GROUPS
        and one.version in objects.preferred
    ]  # fmt: skip
    return [one for kind in kinds for one in objects.list(kind)]


def _pickers(objects: Objects) -> list[Manifest]:
    found = objects.list(objects.kinds[("apps/v1", "Deployment")])
    return [one for one in found if any(_is_picker(repository) for repository, _ in _images(one))]


def _images(one: Manifest) -> Iterator[tuple[str, str]]:
    """(repository, tag) of its containers' images."""
    for container in dig(one, "spec", "template", "spec", "containers", default=[]):
        path, slash, last = str(container["image"]).partition("@")[0].rpartition("/")
        name, _, tag = last.partition(":")
        yield f"{path}{slash}{name}", tag


def _is_picker(repository: str) -> bool:
    name = repository.rpartition("/")[2]
    return "inference-scheduler" in name or "epp" in name.split("-")


def content(assets: Assets, wish: Wish) -> Content:
    """Upstream's chart and definitions, and model servers of ours; or what the user names instead of the chart."""
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    values = read(wish.values)
    servers = values.model_servers
    version = catalogue.component("llmd-epp").version
    module = toolchain.module_dir("llmd-epp", crds.MODULE, assets)
    source = wish.source or str(module / "config" / "charts" / "standalone")
    chart = Chart(
        source,
        RELEASE,
        NAMESPACE,
        _values(version, values.picker_profile),
        tuple(wish.values),
        wish.version,
        beside=not wish.source,
    )
    routes = [provision_route.route(values.gateway, RELEASE, NAMESPACE)] if values.gateway else []
    if routes and provision_route.GROUP not in wish.groups:
        raise ClusterError(f"gateway {values.gateway} in values of llmd: this cluster has no Gateway API")
    return Content(
        chart=chart, objects=(deployment(servers, NAMESPACE), *routes),
        definitions=crds.definitions(module), version=version,
        settings=f"{servers.replicas} model servers {servers.image}, model {servers.model}, picker's configuration "
        f"{values.picker_profile or 'of the chart'}",
    )  # fmt: skip


def _values(version: str, profile: str) -> dict[str, Any]:
    custom = {"pluginsCustomConfig": {FILE: _configuration(profile)}, "pluginsConfigFile": FILE} if profile else {}
    hub, _, name = PICKER.rpartition("/")
    return {
        "inferenceExtension": {
            "image": {"hub": hub, "name": name, "tag": version},
            **custom,
        },
        "inferencePool": {"modelServers": {"matchLabels": APP}, "targetPorts": [{"number": PORT}]},
    }


def _configuration(profile: str) -> str:
    """The picker's configuration, as text.

    Raises:
        ClusterError: there is none of that name, or it needs more than model servers.
    """
    if profile in (*profiles.PRECISE, profiles.PREFILL_DECODE) and profile in profiles.names():
        usable = [one for one in profiles.names() if one not in (*profiles.PRECISE, profiles.PREFILL_DECODE)]
        raise ClusterError(
            f"pickerProfile {profile} needs KV-cache events, a tokenizer or sidecars, which are not provisioned: take "
            f"one of {', '.join(usable)}"
        )
    return yaml.safe_dump(profiles.configuration(profile, {}), sort_keys=False)


def problem(api: Api) -> str:
    """Why no completion comes through the gateway.

    The gateway's Envoy forwards to nothing but the address that the picker has put into the request, so that an answer
    means that an endpoint was picked. Of what somebody else has installed the gateway is not known: its picker has to
    be ready.
    """
    servers = api.get("Deployment", NAME, NAMESPACE)
    if servers is None:
        pickers = _pickers(Objects(api))
        ready = any(dig(one, "status", "readyReplicas", default=0) for one in pickers)
        return "" if ready else "no endpoint picker is ready"
    body: Manifest = {"model": model_of(servers), "prompt": "Are you there?", "max_tokens": 1}
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:{GATEWAY_PORT}/proxy/v1/completions"
    asked = f"a completion through Service {NAMESPACE}/{SERVICE}:{GATEWAY_PORT}"
    try:
        answer = api.request("post", path, body)
    except ApiRefused as refused:
        if refused.denied:
            return f"{asked} cannot be tried: {DENIED}{refused.denied}"
        return f"{asked} ends with HTTP status {refused.status}: {' '.join(refused.message.split())}"
    except ClusterError as error:
        return f"{asked}: {error}"
    try:
        choices = json.loads(answer)["choices"]
    except (ValueError, KeyError, TypeError):
        choices = None
    if choices:
        return provision_route.problem(api, RELEASE, NAMESPACE)
    return f"{asked} is answered with no choices: {answer[:200]!r}"


def in_use(objects: Objects) -> Sequence[Ref]:
    """Pools that somebody else has made."""
    ours = (NAMESPACE, RELEASE)
    return [ref for one in _pools(objects) if ((ref := Ref.of(one)).namespace, ref.name) != ours]


LLMD = Provided(
    name="llmd", title="llm-d routing", namespace=NAMESPACE,
    rights=(Right("", "services/proxy", "create"),),
    detect=detect, content=content, problem=problem, in_use=in_use, capability="routing",
    further=frozenset({OWN_ARMS, *PROGRAMS}),  # whether images are there, pods tell
    renamed=RENAMED,
)  # fmt: skip
