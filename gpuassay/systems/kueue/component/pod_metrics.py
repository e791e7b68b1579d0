"""Metrics of Kueue's manager in a pod: HTTPS through a forwarded port, with the token of an account of ours.

Upstream's page asks for a token that TokenReview knows and that may GET `/metrics`. The API server's proxy hands none
on (it takes off the header with which it has authenticated), so the page is read through the port itself.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.forward import SECONDS, forwarded
from gpuassay.cluster.metrics import ACCEPT, Sample, parse
from gpuassay.manifest import Manifest
from gpuassay.secrets import learn

Scrape = Callable[[str, str, int], list[Sample]]
"""Samples of a pod, by its namespace, name and port."""
RBAC = "rbac.authorization.k8s.io/v1"


@contextmanager
def scraper(api: Api, run: str, say: Callable[[str], None]) -> Generator[Scrape | None]:
    """What reads metrics, for the length of a `with` block; None, and a line that says why, where that may not be.

    An account, a role for `/metrics` and its binding are made for it; they carry the run's label.
    """
    name = f"gpuassay-metrics-{run}"
    made: list[tuple[str, str, str | None]] = []
    try:
        try:
            token = _token(api, name, run, made)
        except ApiRefused as refused:
            say(f"Kueue's metrics cannot be read ({refused}): what only they tell is not judged")
            yield None
        else:
            yield lambda namespace, pod, port: page(api, token, namespace, pod, port)
    finally:
        for kind, what, namespace in reversed(made):
            api.delete(kind, what, namespace)


def _token(api: Api, name: str, run: str, made: list[tuple[str, str, str | None]]) -> str:
    """A token that may read `/metrics`, for a day."""
    meta: Manifest = {"name": name, "labels": {labels.RUN: run}}
    rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    role = {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": name}
    account = {"kind": "ServiceAccount", "name": name, "namespace": name}
    wanted: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": meta},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**meta, "namespace": name}},
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": meta, "rules": [rule]},
        {"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": meta, "roleRef": role, "subjects": [account]},
    ]
    for one in wanted:
        api.create(one)
        made.append((one["kind"], name, one["metadata"].get("namespace")))
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
    path = f"/api/v1/namespaces/{name}/serviceaccounts/{name}/token"
    token = str(json.loads(api.request("post", path, asked))["status"]["token"])
    learn(token)
    return token


def page(api: Api, token: str, namespace: str, pod: str, port: int) -> list[Sample]:
    """All samples of a pod's metrics page now.

    Raises:
        ClusterError: they cannot be had.
    """
    # the API server has vouched for the pod; its certificate is one of its own making
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with forwarded(api, namespace, pod, port) as way:
        asking = http.client.HTTPConnection(pod, timeout=SECONDS[1])
        try:
            asking.sock = trust.wrap_socket(way)
            asking.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}", **ACCEPT})
            answer = asking.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(f"the metrics of Kueue cannot be had: {error}") from None
        finally:
            asking.close()
    if answer.status != 200:
        said = body.decode(errors="replace").strip()[:200]
        raise ClusterError(f"the metrics of Kueue are refused: {answer.status} {said}")
    return parse(body, None, "Kueue", answer.headers.get("content-type", ""))
