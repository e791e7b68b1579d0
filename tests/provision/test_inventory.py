"""Our namespace on a cluster that several runs share: none takes it away from under another."""

from __future__ import annotations

from typing import cast

import pytest

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.provision import inventory
from gpuassay.provision.inventory import NAMESPACE, Inventory
from tests.cluster.kueue_in_pods import Standing


def noted(component: str, run: str = "run-a") -> Inventory:
    return Inventory(component, run, "v1", "there", True, "manifests", "", [], [], frozenset(), {})


def api(standing: Standing) -> Api:
    return cast("Api", standing)


def test_what_is_noted_is_read_by_anyone_and_our_namespace_goes_with_the_last() -> None:
    """Red when a note gets lost, or the namespace stays for ever or goes too early."""
    standing = Standing()
    for name in ("one", "two"):
        inventory.write(api(standing), noted(name))
    assert inventory.read(api(standing), "one") == noted("one")
    inventory.forget(api(standing), "one")
    assert ("Namespace", NAMESPACE) in standing.stored
    inventory.forget(api(standing), "two")
    assert ("Namespace", NAMESPACE) not in standing.stored


def test_who_has_a_component_is_named() -> None:
    """Red when two runs install one component, or the second is not told who does."""
    standing = Standing()
    inventory.write(api(standing), noted("one"))
    inventory.write(api(standing), noted("one"))  # asked again: the answer to the first got lost
    with pytest.raises(ClusterError, match="one is being provisioned by run run-a: wait for it, or gpuassay remove"):
        inventory.write(api(standing), noted("one", "run-b"))


class Ending(Standing):
    """Its namespace of ours is deleted by another run in the moment in which something is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = 0

    def create(self, one: Manifest) -> Manifest:
        found = super().create(one)
        if one["kind"] == "ConfigMap":
            self.tried += 1
            if self.tried == 1:
                self.stored["Namespace", NAMESPACE]["metadata"]["deletionTimestamp"] = "now"
        return found

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        found = super().get(kind, name, namespace)
        if kind == "Namespace" and found and found["metadata"].get("deletionTimestamp"):
            for key in (("Namespace", NAMESPACE), ("ConfigMap", "one")):
                self.stored.pop(key, None)
        return found


def test_a_note_in_a_namespace_that_ends_is_made_anew() -> None:
    """Red when what a run installs is noted in a namespace that another run is just deleting, and is lost with it."""
    standing = Ending()
    inventory.write(api(standing), noted("one"))
    assert standing.tried == 2 and inventory.read(api(standing), "one") == noted("one")


class Late(Standing):
    """Another run notes something just after the last look at what is noted."""

    def list(self, kind: str, namespace: str = "", label_selector: str = "") -> list[Manifest]:
        found = super().list(kind, namespace, label_selector)
        if kind == "ConfigMap" and not found:
            inventory.write(api(self), noted("two", "run-b"))
        return found


def test_a_namespace_in_which_another_run_has_just_noted_something_stays() -> None:
    """Red when the end of one run takes the inventory of another along."""
    standing = Late()
    inventory.write(api(standing), noted("one"))
    inventory.forget(api(standing), "one")
    assert inventory.read(api(standing), "two") == noted("two", "run-b")
