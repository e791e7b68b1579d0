"""Pods of an older revision that work on do not hide that those of the newest cannot start."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.rollout import unfinished
from tests.cluster.served import made, served

DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
ALL = {
    "observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
    "numberReady": 2,
}  # fmt: skip
CASES: list[tuple[str, dict[str, int], str]] = [
    ("Deployment", DONE, ""),
    ("Deployment", DONE | {"replicas": 3}, "of 2 pods 2 are of the newest revision and 2 ready, 1 of an older one run"),
    ("Deployment", DONE | {"updatedReplicas": 1}, "of 2 pods 1 are of the newest revision"),
    ("Deployment", DONE | {"readyReplicas": 1}, "and 1 ready"),
    ("Deployment", DONE | {"observedGeneration": 1}, "of 2 pods 0 are of the newest revision"),
    ("Deployment", {}, "of 2 pods 0 are of the newest revision"),
    ("StatefulSet", DONE, ""),
    ("StatefulSet", DONE | {"updatedReplicas": 1}, "1 of an older one run still"),
    ("DaemonSet", ALL, ""),
    ("DaemonSet", ALL | {"updatedNumberScheduled": 1}, "1 of an older one run still"),
    ("DaemonSet", ALL | {"numberReady": 0}, "and 0 ready"),
]


class Held(Objects):
    """Has one object."""

    def __init__(self, one: Manifest) -> None:
        super().__init__(served())
        self.one = one

    def get(self, ref: Ref) -> Manifest | None:
        return self.one if ref == Ref.of(self.one) else None


@pytest.mark.parametrize(("kind", "status", "words"), CASES)
def test_an_older_revision_that_works_is_not_enough(kind: str, status: dict[str, int], words: str) -> None:
    """Red when an image that cannot be pulled passes because the pods before it still answer."""
    one = made("apps/v1", kind, "it", "there", spec={"replicas": 2}, status=status)
    one["metadata"]["generation"] = 2
    said = unfinished(Held(one), [Ref("v1", "Service", "there", "it"), Ref.of(one)])
    assert words in said and bool(words) == bool(said)
    assert unfinished(Held(one), [Ref("apps/v1", kind, "there", "gone")]) == ""
