"""Whether the caller may do something, by asking the API server (SelfSubjectAccessReview) instead of by trying."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.cluster.api import Api
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest, dig

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource (`pods`, `pods/log`) of all namespaces, or on a path that is none (`/metrics`)."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """As kubectl writes it: `create deployments.apps`."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def lacking(api: Api, rights: Sequence[Right]) -> list[Right]:
    """Those that the caller does not have, in order.

    Raises:
        ClusterError: the API server does not say.
    """
    if allowed(api, Right("*", "*", "*")):
        return []
    answers = side_by_side(lambda right: allowed(api, right), rights)
    return [right for right, yes in zip(rights, answers, strict=True) if not yes]


def allowed(api: Api, right: Right) -> bool:
    """Whether the caller has a right."""
    resource, _, subresource = right.resource.partition("/")
    attributes: Manifest = {"group": right.group, "resource": resource, "verb": right.verb}
    if subresource:
        attributes["subresource"] = subresource
    body: Manifest = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": right.resource, "verb": right.verb}}
        if right.resource.startswith("/")
        else {"resourceAttributes": attributes},
    }  # fmt: skip
    return bool(dig(json.loads(api.request("post", PATH, body)), "status", "allowed", default=False))
