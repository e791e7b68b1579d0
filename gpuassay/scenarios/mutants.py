"""Broken systems under test, by name.

A mutant changes what the cluster is given, never what the scenario asked for: the oracle works from what was asked,
the recording shows what the broken system did, and the behaviours that name the mutant must go red.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuassay.manifest import Manifest
from gpuassay.system import systems

if TYPE_CHECKING:  # component code: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.silicon import Silicon


@dataclass(frozen=True)
class Mutant:
    """A named way to break the system.

    Attributes:
        name: what behaviours refer to.
        breaks: one sentence on what is broken.
        change: maps an object as asked to the object as written.
        change_patch: maps kind and body of a merge patch as asked to the body as sent; an empty body changes nothing.
        change_arm: maps the arm of a routing scenario as asked to the arm that is brought up.
        change_node: maps the arguments of `real_node` as a scenario gives them to those that are used.
        disturb_node: done to a node while its kubelet, or its containerd, is down for a restart.
        disturb: done to an arm before every wave of requests through its gateway.
        disturb_silicon: done to the GPUs of a sliced node before the scenario uses them.
        disturb_upgrade: done to the cluster of a scenario (its lab) right after an upgrade.
        layer: what it changes, where that does not follow from the above.
    """

    name: str
    breaks: str
    change: Callable[[Manifest], Manifest]
    change_patch: Callable[[str, Manifest], Manifest] = lambda _, body: body
    change_arm: Callable[[Any], Any] = lambda arm: arm
    disturb: Callable[[Any], None] = lambda _: None
    change_node: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options
    disturb_node: Callable[[Node], None] = lambda _: None
    disturb_silicon: Callable[[Silicon], None] = lambda _: None
    disturb_upgrade: Callable[[Any], None] = lambda _: None
    layer: str = ""

    @property
    def where(self) -> str:
        """What it changes: objects, patches, deployment, node, GPU, protocol, or nothing."""
        return self.layer or ", ".join(dict.fromkeys(layer for name, layer in _LAYERS.items() if self._uses(name)))

    def _uses(self, name: str) -> bool:
        own = getattr(self, name)
        return own is not copy.deepcopy if name == "change" else own is not type(self).__dict__[name]


_LAYERS = {
    "change": "objects",
    "change_patch": "patches",
    "change_arm": "deployment",
    "disturb": "deployment",
    "disturb_upgrade": "deployment",
    "change_node": "node",
    "disturb_node": "node",
    "disturb_silicon": "GPU",
}
"""What a mutant changes by each of its functions."""

MUTANTS: dict[str, Mutant] = {}


def register(made: Mutant) -> None:
    """Let `made` be known by its name; ValueError if another is."""
    if made.name in MUTANTS:
        raise ValueError(f"mutant {made.name!r} is registered twice")
    MUTANTS[made.name] = made


def mutant(name: str, breaks: str) -> Callable[[Callable[[Manifest], None]], Callable[[Manifest], None]]:
    """Register a function that edits a copy of each object in place.

    Example:
        @mutant("label-lost", "jobs lose the label of their queue")
        def label_lost(obj: Manifest) -> None:
            obj["metadata"].get("labels", {}).pop("kueue.x-k8s.io/queue-name", None)
    """

    def declare(edit: Callable[[Manifest], None]) -> Callable[[Manifest], None]:
        def change(obj: Manifest) -> Manifest:
            changed = copy.deepcopy(obj)
            edit(changed)
            return changed

        register(Mutant(name, breaks, change))
        return edit

    return declare


def patch_mutant(name: str, breaks: str) -> Callable[[Callable[[str, Manifest], None]], object]:
    """Register a function that edits a copy of each merge patch (kind, body) in place.

    For what is lost on the way of a change, not of a creation. Under the name of a mutant of objects, it joins it.
    """

    def declare(edit: Callable[[str, Manifest], None]) -> Callable[[str, Manifest], None]:
        def change_patch(kind: str, body: Manifest) -> Manifest:
            changed = copy.deepcopy(body)
            edit(kind, changed)
            return changed

        old = MUTANTS.get(name)
        MUTANTS[name] = (
            replace(old, change_patch=change_patch) if old else Mutant(name, breaks, copy.deepcopy, change_patch)
        )
        return edit

    return declare


def known() -> Mapping[str, Mutant]:
    """Every mutant by name."""
    load()
    return MUTANTS


def get(name: str) -> Mutant:
    """The mutant of that name; raises ValueError with names like it otherwise."""
    if name not in known():
        raise ValueError(f"unknown mutant {name!r}; {like(name)}")
    return MUTANTS[name]


def like(name: str) -> str:
    """What an unknown name may have meant, as the end of a sentence."""
    near = difflib.get_close_matches(name, known(), n=3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}`python -m gpuassay mutants --list` lists all {len(known())}"


def chosen(name: str | None) -> Mutant | None:
    """The mutant of a run, None where nothing is to be broken; as `get` otherwise."""
    return get(name) if name else None


register(Mutant("identity", "nothing: kills no behaviour, or the suite is at fault", copy.deepcopy, layer="nothing"))


def load() -> None:
    """Import the mutants of every system, which register themselves."""
    for system in systems().values():
        if not system.mutants:
            continue
        package = importlib.import_module(system.mutants)
        for topic in pkgutil.iter_modules(getattr(package, "__path__", ()), f"{package.__name__}."):
            importlib.import_module(topic.name)
