"""Broken systems for the real node: pods that reach it changed, and containers that end behind the kubelet's back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gpuassay.manifest import Manifest
from gpuassay.scenarios.mutants import Mutant, mutant, register
from gpuassay.workloads.containers import NODE

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node


def _containers(obj: Manifest) -> Iterator[Manifest]:
    if obj["kind"] == "Pod":
        yield from obj["spec"]["containers"]


def _each_argument(obj: Manifest, change: Callable[[list[str], int], None]) -> None:
    for container in _containers(obj):
        arguments: list[str] = container.get("args", [])
        for at in range(len(arguments)):
            change(arguments, at)


@mutant("exit-code-lost", "whatever code a container ends with, 0 is told")
def _exit_code_lost(obj: Manifest) -> None:
    def change(arguments: list[str], at: int) -> None:
        if at and arguments[at - 1] == "exit":
            arguments[at] = "0"

    _each_argument(obj, change)


@mutant("output-lost", "what a container prints gets lost")
def _output_lost(obj: Manifest) -> None:
    def change(arguments: list[str], at: int) -> None:
        if at and arguments[at - 1] == "print":
            arguments[at] = ""

    _each_argument(obj, change)


@mutant("wrong-port", "containers listen on another port than they are asked to")
def _wrong_port(obj: Manifest) -> None:
    def change(arguments: list[str], at: int) -> None:
        if at and arguments[at - 1] == "serve":
            arguments[at] = str(int(arguments[at]) + 1)

    _each_argument(obj, change)


@mutant("probes-lost", "nobody asks containers whether they are ready or healthy")
def _probes_lost(obj: Manifest) -> None:
    for container in _containers(obj):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            container.pop(probe, None)


@mutant("environment-lost", "containers do not get the environment that they ask for")
def _environment_lost(obj: Manifest) -> None:
    for container in _containers(obj):
        container.pop("env", None)


@mutant("termination-ignored", "pods that are deleted go on running for minutes")
def _termination_ignored(obj: Manifest) -> None:
    for container in _containers(obj):
        container["args"] = ["deaf", "--", *container.get("args", [])]
    if obj["kind"] == "Pod":
        obj["spec"]["terminationGracePeriodSeconds"] = 300


def node_mutant(name: str, breaks: str) -> Callable[[Callable[[Node], None]], object]:
    """Register a function that does something to a node while its kubelet, or its containerd, is restarted."""

    def declare(disturb: Callable[[Node], None]) -> Callable[[Node], None]:
        register(Mutant(name, breaks, copy.deepcopy, disturb_node=disturb))
        return disturb

    return declare


@node_mutant("containers-end-while-away", "running containers end while the kubelet or containerd is restarted")
def _containers_end(node: Node) -> None:
    node.end_containers()


@mutant("node-choice-lost", "pods run on the first node, whichever they choose")
def _node_choice_lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod" and "nodeSelector" in obj["spec"]:
        obj["spec"]["nodeSelector"] = {"kubernetes.io/hostname": NODE}


@mutant("restart-policy-lost", "no container is started a second time")
def _restart_policy_lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"]["restartPolicy"] = "Never"


def _unregistered(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "settings": {"registerNode": False}}


register(
    Mutant(
        "node-unregistered", "a kubelet runs, but tells nobody of its node", copy.deepcopy, change_node=_unregistered
    )
)
