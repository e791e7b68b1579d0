"""A stub of DAS for a cluster like a user's: manifests, an operator that the test plays, and a webhook that it answers.

The operator's pod is a shell that sleeps; no scheduler and no daemonset of DAS run, so that no slice is cut. What DAS
waits for is made for it: a ClusterPolicy, a RuntimeClass, a label of nodes.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme
import yaml

from gpuassay.cluster.base import Cluster
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.objects import Objects, Ref
from gpuassay.systems.slices.component.das_cluster import NAMESPACE, POLICY, RUNTIME_CLASS, SCHEDULER
from gpuassay.systems.slices.provision_das import CAPABLE, GROUP, WEBHOOK
from gpuassay.waiting import wait
from tests import operators
from tests.live.olm_standin import definition
from tests.live.playing import playing
from tests.live.stub_images import serve

IMAGE = "quay.io/openshift/das-operator:v0.0.0-stub"
VERSION = f"{GROUP}/v1alpha1"
STARTS = Ref(VERSION, "DASOperator", NAMESPACE, "cluster")
OPERATOR = "das-operator"


def manifests(folder: Path) -> Path:
    """A folder as DAS's `deploy/` is, with definitions, the operator, and a certificate of its own for its webhook."""
    at = folder / "das"
    if at.exists():
        return at
    at.mkdir()
    labels = {"app": OPERATOR}
    container = {"name": "main", "image": IMAGE}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    deployment: Manifest = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }  # fmt: skip
    leaf = trustme.CA().issue_cert("das-webhook.invalid")
    pair = {"tls.crt": leaf.cert_chain_pems[0].bytes(), "tls.key": leaf.private_key_pem.bytes()}
    secret: Manifest = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "webhook", "namespace": NAMESPACE},
        "data": {name: base64.b64encode(content).decode() for name, content in pair.items()},
    }  # fmt: skip
    kinds = ("DASOperator", "NodeAccelerator", "AllocationClaim")
    found = [*(definition(GROUP, "v1alpha1", kind, "Namespaced") for kind in kinds), deployment]
    (at / "all.yaml").write_text(yaml.safe_dump_all([*found, secret]))
    return at


PREREQUISITES: tuple[Manifest, ...] = (
    operators.policy_definition(),
    {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": {"name": POLICY}},
    operators.runtime_class(RUNTIME_CLASS),
)


@contextmanager
def prerequisites(cluster: Cluster) -> Generator[None]:
    """What DAS waits for is there for the length of a `with` block; not its doing, so it must outlive it."""
    objects = Objects(cluster.api)
    try:
        for one in PREREQUISITES:
            _apply(cluster, one)
        _label(objects, "true")
        yield
    finally:
        _label(objects, None)
        for one in reversed(PREREQUISITES):
            ref = Ref.of(one)
            now = Objects(cluster.api)
            now.delete(ref)
            wait(lambda ref=ref, now=now: now.get(ref), lambda found: found is None, what=f"{ref} to go", timeout=60)


def _apply(cluster: Cluster, one: Manifest) -> None:
    """Once its kind is served, which may have been defined just now."""
    ref = Ref.of(one)
    known = wait(
        lambda: Objects(cluster.api), lambda now: now.kind(ref) is not None, what=f"kind {ref.kind}", timeout=60
    )  # fmt: skip
    known.apply(ref, one)


def _label(objects: Objects, value: str | None) -> None:
    for node in objects.list(objects.kinds[("v1", "Node")]):
        objects.patch(Ref.of(node), {"metadata": {"labels": {CAPABLE: value}}})


class _Webhook(BaseHTTPRequestHandler):
    """Gives pods that ask for slices to DAS's scheduler."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """Answer one review."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = review["request"]
        limits = [dig(one, "resources", "limits", default={}) for one in dig(asked, "object", "spec", "containers")]
        answer: Manifest = {"uid": asked["uid"], "allowed": True}
        if any(name.startswith("nvidia.com/mig-") for one in limits for name in one):
            patch = json.dumps([{"op": "add", "path": "/spec/schedulerName", "value": SCHEDULER}])
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch.encode()).decode()}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _answering() -> Generator[Manifest]:
    """The webhook on loopback, where the API server runs; how it is called."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
        yield {"url": f"https://127.0.0.1:{server.server_port}/mutate", "caBundle": bundle}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _made(client: Manifest) -> tuple[Manifest, ...]:
    """What the operator makes outside of its namespace."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "mutate.das.invalid", "clientConfig": client, "rules": [rule], "failurePolicy": "Ignore",
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
    }  # fmt: skip
    role = f"{SCHEDULER}-stub"
    return (
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
         "metadata": {"name": WEBHOOK}, "webhooks": [hook]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": []},
    )  # fmt: skip


def looked(cluster: Cluster, client: Manifest) -> None:
    """One look of the operator: once it runs and is told to begin, its webhook comes, and nodes tell of their GPUs."""
    objects = Objects(cluster.api)
    runs = dig(cluster.api.get("Deployment", OPERATOR, NAMESPACE) or {}, "status", "readyReplicas")
    begun = objects.get(STARTS)
    if begun is None or dig(begun, "metadata", "deletionTimestamp") or not runs:
        return
    nodes = [one["metadata"]["name"] for one in cluster.api.list("Node") if CAPABLE in one["metadata"]["labels"]]
    told: list[Manifest] = [
        {"apiVersion": VERSION, "kind": "NodeAccelerator", "metadata": {"name": name, "namespace": NAMESPACE}}
        for name in nodes
    ]
    for one in (*_made(client), *told):
        if objects.get(Ref.of(one)) is None:
            objects.apply(Ref.of(one), one)


@contextmanager
def around(cluster: Cluster) -> Generator[None]:
    """Its image can be pulled, what it waits for is there, its operator is played."""
    serve(cluster, IMAGE)
    with prerequisites(cluster), _answering() as client, playing(lambda: looked(cluster, client)):
        yield
