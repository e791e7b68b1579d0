"""In which version objects of a kind are looked at. No cluster is needed."""

from __future__ import annotations

import json
from typing import cast

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.provision.objects import Objects

SERVED = {"v1": ["Pod"], "a/v1": ["Group", "Both"], "a/v1alpha1": ["Old", "Both"], "a/v1alpha2": ["Old"]}


class Discovery:
    """A group whose preferred version has not all of its kinds, as OLM's."""

    def raw(self, path: str) -> str:
        if path == "/apis":
            versions = [{"groupVersion": one} for one in SERVED if "/" in one]
            return json.dumps({"groups": [{"versions": versions, "preferredVersion": versions[0]}]})
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version not in SERVED:
            raise ApiRefused(404, "NotFound", path)
        found = [
            {"kind": one, "name": f"{one.lower()}s", "namespaced": True, "verbs": ["list"]} for one in SERVED[version]
        ]
        return json.dumps({"resources": found})


def test_a_kind_that_the_preferred_version_lacks_is_looked_at_all_the_same() -> None:
    """Red when Subscriptions and the like are passed over, or an object is seen twice."""
    objects = Objects(cast("Api", Discovery()))
    chosen = {(one.version, one.name) for one in objects.kinds.values() if objects.chosen(one)}
    assert chosen == {("v1", "Pod"), ("a/v1", "Group"), ("a/v1", "Both"), ("a/v1alpha1", "Old")}
